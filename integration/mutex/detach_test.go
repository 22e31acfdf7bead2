package mutex_test

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

var detachable = &mutex.Options{Detachable: true}

// moved: a lock goes from one session to another while others wait for it, and only the last owner
// can use it.
func moved(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 30*time.Second)
	m := mutex.New(b, name, nil)
	held, err := mutex.New(a, name, detachable).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // revisions before the waiter
		if _, err := c.Put(ctx, name+".x", nil); err != nil {
			t.Fatal(err)
		}
	}
	waiter := make(chan *mutex.Lock, 1)
	go func() {
		next, err := m.Lock(ctx)
		if err != nil {
			t.Error(err)
		}
		waiter <- next
	}()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	token, err := held.Detach(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	who, err := m.Inspect(ctx)
	if err != nil || len(who) != 2 || !who[0].Detached || !who[0].Holder || who[0].Lease != 0 {
		t.Errorf("Inspect = %+v, %v", who, err)
	}
	if err := mutex.Renew(ctx, c, token, 2*time.Minute); err != nil {
		t.Errorf("Renew = %v", err)
	}
	adopted, err := mutex.Adopt(ctx, b, token)
	if err != nil {
		t.Fatal(err)
	}
	if adopted.Fence() != held.Fence()+1 {
		t.Errorf("fence %d after %d", adopted.Fence(), held.Fence())
	}
	for _, tt := range []struct {
		owner string
		guard gateway.Cmp
		want  bool
	}{{"the giver", held.Guard(), false}, {"the adopter", adopted.Guard(), true}} {
		resp, err := c.Txn(ctx, gateway.Txn{If: []gateway.Cmp{tt.guard}})
		if err != nil || resp.Succeeded != tt.want {
			t.Errorf("the guard of %s: %v, %v", tt.owner, resp, err)
		}
	}
	if _, err := mutex.Adopt(ctx, a, token); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("another Adopt = %v", err)
	}
	if who, err = m.Inspect(ctx); err != nil || who[0].Detached || who[0].Lease != b.Lease() ||
		who[0].Session.Name != "b" {
		t.Errorf("Inspect = %+v, %v", who, err)
	}
	pause(t, ctx, 1500*time.Millisecond, "the key is watched") // from the adoption on
	if err := adopted.Err(); err != nil || len(waiter) > 0 {
		t.Errorf("Err = %v, or the waiter has the lock", err)
	}
	unlock(t, adopted)
	next := <-waiter
	if next.Fence() <= adopted.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), adopted.Fence())
	}
	unlock(t, next)
}

// expired: a detached lock is free after its time, and its token is void then.
func expired(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 30*time.Second)
	held, err := mutex.New(a, name, detachable).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token, err := held.Detach(ctx, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	next := lock(t, b, name)
	if err := mutex.Renew(ctx, c, token, time.Minute); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Renew = %v", err)
	}
	if err := mutex.Release(ctx, c, token); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Release = %v", err)
	}
	if _, err := mutex.Adopt(ctx, a, token); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Adopt = %v", err)
	}
	unlock(t, next)
}

// TestAWaiterOfClientV3IsNotGrantedALockThatMoves: a hundred moves, then it is granted the lock.
func TestAWaiterOfClientV3IsNotGrantedALockThatMoves(t *testing.T) {
	t.Parallel()
	eachName(t, func(t *testing.T, name string) {
		t.Helper()
		ctx := within(t, time.Minute)
		sessions := []*session.Session{plain(t), plain(t)}
		c := sessions[0].Client()
		theirs, err := concurrency.NewSession(cluster.ClientV3(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = theirs.Close() }()
		held, err := mutex.New(sessions[1], name, detachable).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		const moves = 100
		for range moves {
			if _, err := c.Put(ctx, fresh(t), nil); err != nil {
				t.Fatal(err)
			}
		}
		granted := make(chan error, 1)
		go func() { granted <- concurrency.NewMutex(theirs, name).Lock(ctx) }()
		eventually(t, "join", func() bool { return len(clientV3Members(t, c, name)) == 2 })
		for i := range moves {
			token, err := held.Detach(ctx, time.Minute)
			if err == nil {
				held, err = mutex.Adopt(ctx, sessions[i%2], token)
			}
			if err != nil {
				t.Fatalf("move %d: %v", i, err)
			}
		}
		if len(granted) > 0 {
			t.Fatalf("the waiter has returned: %v", <-granted)
		}
		unlock(t, held)
		if err := <-granted; err != nil {
			t.Error(err)
		}
	})
}

// clientV3Members lists all keys below a name, as clientv3 counts members.
func clientV3Members(t *testing.T, c *gateway.Client, name string) []gateway.KeyValue {
	t.Helper()
	resp, err := c.Get(within(t, 20*time.Second), name+"/", gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	return resp.KVs
}
