// Package exampletest serves the examples of the package documentation: the etcd that they run on.
//
// That is the one in HOLDFAST_ENDPOINTS, its URLs with commas between, where that is set, as integration/docs does with
// real servers of every version. Else it is a small one in memory, which is not where anybody should look for how etcd
// behaves, but lets the examples be run and compared with their output everywhere.
package exampletest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

const endpointsEnv = "HOLDFAST_ENDPOINTS"

// A Runner runs the tests and examples of a package; *testing.M is one.
type Runner interface{ Run() int }

// On returns a Runner that sets the client, and the session if there is to be one, before it runs the examples of a
// package, in
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }
//
// The client has a namespace of its own, which is empty before and after.
func On(m Runner, client **gateway.Client, s **session.Session) Runner { return runner{m, client, s} }

type runner struct {
	tests   Runner
	client  **gateway.Client
	session **session.Session
}

func (r runner) Run() int {
	code, err := r.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (r runner) run() (code int, err error) {
	client, stop, err := connect()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	*r.client = client
	if r.session == nil {
		return r.tests.Run(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := session.New(ctx, client, nil)
	if err != nil {
		return 0, err
	}
	*r.session = s
	code = r.tests.Run()
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return code, s.Close(end)
}

// patience is how long the etcd may take to answer.
const patience = 5 * time.Second

func connect() (client *gateway.Client, stop func() error, err error) {
	given := os.Getenv(endpointsEnv)
	if given == "" {
		p := new(process)
		return fakeetcd.Start(p).Client(p), p.end, nil
	}
	client, err = gateway.New(gateway.Config{
		Endpoints: strings.Split(given, ","),
		Namespace: "holdfast-example-" + rand.Text() + "/",
	})
	if err != nil {
		return nil, nil, err
	}
	return client, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := client.Delete(ctx, "", gateway.Prefix())
		return errors.Join(err, client.Close())
	}, nil
}

// process is a test that lasts as long as the process.
type process struct {
	testing.TB
	cleanups []func()
	errs     []error
}

func (*process) Helper()             {}
func (p *process) Cleanup(fn func()) { p.cleanups = append(p.cleanups, fn) }
func (p *process) Error(args ...any) { p.errs = append(p.errs, errors.New(fmt.Sprint(args...))) }
func (p *process) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (p *process) end() error {
	for _, cleanup := range slices.Backward(p.cleanups) {
		cleanup()
	}
	return errors.Join(p.errs...)
}
