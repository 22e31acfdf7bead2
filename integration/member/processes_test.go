package member_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

// process joins a group with members of its own until it is killed.
var process = reexec.Register("members", func(a args) int {
	ctx := context.Background()
	c, err := gateway.New(gateway.Config{Endpoints: []string{a.Endpoint}})
	for i := 0; i < a.Members && err == nil; i++ {
		_, err = member.Join(ctx, c, a.Group, &member.Options{
			ID:      fmt.Sprintf("%d-%d", os.Getpid(), i),
			Session: &session.Options{TTL: childTTL, AllowShortTTL: true},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
})

type args struct {
	Endpoint, Group string
	Members         int
}

const childTTL = 2 * time.Second

// TestKilled: the members of a process that was killed are gone with their leases, and the members
// of other processes stay.
func TestKilled(t *testing.T) {
	t.Parallel()
	const processes, members = 3, 20
	group := fresh(t)
	c := cluster.NewClient(t, gateway.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var kill []func()
	for range processes {
		cmd := process.Command(ctx, args{cluster.Endpoints()[0], group, members})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = append(kill, func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		})
	}
	defer func() {
		cancel()
		for _, k := range kill {
			k()
		}
	}()
	until(t, c, group, func(m map[string]member.Member) bool { return len(m) == processes*members })
	kill[0]()
	kill = kill[1:]
	began := time.Now()
	until(t, c, group, func(m map[string]member.Member) bool {
		return len(m) == (processes-1)*members
	})
	figure(t, "%d members of a killed process were gone after %v, TTL %v", members, time.Since(began),
		childTTL)
}
