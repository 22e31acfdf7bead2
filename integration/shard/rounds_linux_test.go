package shard_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/shard"
)

// roundsTTL is longer than childTTL, because on a busy machine sessions that are lost all the time
// would keep the shards from having owners.
const roundsTTL = 5 * time.Second

// TestFaultRounds: processes are killed, stopped and ended, leases are revoked and keys deleted, at
// random. After each round all shards have an owner again, and no write of an owner follows one of
// a later owner. HOLDFAST_SHARD_ROUNDS is the number of rounds, 3 without it.
func TestFaultRounds(t *testing.T) {
	t.Parallel()
	rounds, err := strconv.Atoi(os.Getenv("HOLDFAST_SHARD_ROUNDS"))
	if err != nil {
		rounds = 3
	}
	const n, members = 48, 5
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := &fleet{t: t, group: fresh(t), n: n, procs: map[string]*child{}, ttl: roundsTTL}
	defer f.kill()
	c := cluster.NewClient(t, gateway.Config{})
	ctx := t.Context()
	began, err := c.Put(ctx, f.group+"-log/", []byte("0"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range members {
		ids = append(ids, fmt.Sprintf("m%d", i))
		f.start(ids[i])
	}
	owners(t, c, f.group, n, ids...)
	counts := map[string]int{}
	for range rounds {
		id := ids[r.IntN(members)]
		fault := []string{"kill", "pause", "end", "revoke", "delete"}[r.IntN(5)]
		counts[fault]++
		switch fault {
		case "kill":
			f.end(id, syscall.SIGKILL)
			// Its ID is free when its lease has ended.
			owners(t, c, f.group, n, without(ids, id)...)
			f.start(id)
		case "pause":
			p := f.procs[id].Process
			if err := p.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.IntN(int(2 * roundsTTL)))) //nolint:forbidigo // the fault
			if err := p.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		case "end":
			f.end(id, syscall.SIGTERM)
			f.start(id)
		case "revoke":
			if o, err := shard.Owner(ctx, c, f.group, r.IntN(n)); err == nil {
				_ = c.Revoke(ctx, o.Member.Lease) // it may have ended
			}
		case "delete":
			if o, err := shard.Owner(ctx, c, f.group, r.IntN(n)); err == nil {
				if _, err := c.Delete(ctx, o.Key); err != nil {
					t.Fatal(err)
				}
			}
		}
		owners(t, c, f.group, n, ids...)
	}
	for _, id := range ids {
		f.end(id, syscall.SIGTERM)
	}
	writes := overlaps(within(t, 5*time.Minute), t, c, f.group, began.Revision)
	figure(t, "%d rounds %v, %d guarded writes, 0 overlaps unless the test has failed", rounds, counts,
		writes)
}
