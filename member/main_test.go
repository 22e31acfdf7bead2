package member_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// group is the name of the group in all tests.
const group = "fleet"

func keyOf(id string) string { return member.KeyOf(group, id) }

// join adds a member, which leaves at the end of the test.
func join(t *testing.T, c *gateway.Client, opts member.Options) *member.Membership {
	t.Helper()
	m, err := member.Join(t.Context(), c, group, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(t, m) })
	return m
}

// leave ends a membership, which may have ended.
func leave(t *testing.T, m *member.Membership) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.Leave(ctx); errors.Is(err, gateway.ErrUncertain) {
		t.Error(err)
	}
}

// wantIDs checks the members of the group, by a read.
func wantIDs(t *testing.T, c *gateway.Client, ids ...string) member.View {
	t.Helper()
	v, err := member.Members(bubble.Within(t, time.Minute), c, group)
	if got := idsOf(v); err != nil || got != strings.Join(ids, " ") {
		t.Errorf("members %q, %v; want %q", got, err, ids)
	}
	return v
}

func idsOf(v member.View) string {
	var ids []string
	for _, m := range v.Members {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

// backWithin checks that the key of a member comes back within d of now, under a lease.
func backWithin(t *testing.T, etcd *fakeetcd.Server, id string, d time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) <= d; time.Sleep(time.Millisecond) {
		synctest.Wait()
		if kv, ok := etcd.Get(keyOf(id)); ok && kv.Lease != 0 {
			return
		}
	}
	t.Errorf("%s is not back after %v", id, d)
}

// wantState waits until nothing more happens, and checks the state.
func wantState(t *testing.T, m *member.Membership, want member.State) {
	t.Helper()
	synctest.Wait()
	if got := m.State(); got != want {
		t.Errorf("the member is %v, want %v", got, want)
	}
}
