// Package exampletest runs the examples of a package's documentation on an etcd.
//
// # Usage
//
// Call [On] in TestMain. HOLDFAST_ENDPOINTS may hold the comma-separated URLs of an etcd, which is
// how integration/docs runs the examples on real servers of every version.
//
// # Limitations
//
// Without HOLDFAST_ENDPOINTS, the examples run on a small etcd in memory, so that they can be run
// everywhere. It is no reference for etcd's behaviour.
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

// Runner runs the tests and examples of a package, like *testing.M.
type Runner interface{ Run() int }

// On returns a Runner that sets *client and, if s is not nil, *s before it runs m, and closes them
// after that. Use it as in
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }
//
// The client has a namespace of its own, which is empty before and after the run.
func On(m Runner, client **gateway.Client, s **session.Session) Runner {
	return runner{m, client, s}
}

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

// patience is the time that the etcd has to answer.
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

// process is a [testing.TB] for the run of a whole package.
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
