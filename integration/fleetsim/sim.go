package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

// fleet is a fleet in cells, each of which is a group of its own.
type fleet struct{ cells, members, shards int }

func (f fleet) String() string {
	return fmt.Sprintf("%d members, %d shards, %d cells", f.members, f.shards, f.cells)
}

// The cost of one change, from the protocol. A moved shard costs a put of the next owner's key and
// a delete of the last one's. Both of them read and watch the line: that is two more requests, a
// read each (the watches share a stream and are requests too), and each receives the two events.
const (
	requestsPerMove = 6 // a put, a delete, two reads, two watches
	eventsPerMove   = 4 // two events at two watches
)

// totals sums up the changes of one kind.
type totals struct {
	changes, moves, most, imbalance, requests, events int
	bytes                                             float64
}

// run simulates joins, deaths and drains in one cell, and returns rows of the table.
func (f fleet) run(seed uint64, changes int) string {
	r := rand.New(rand.NewPCG(seed, uint64(f.members)))
	n, next := f.shards/f.cells, 0
	var members []member.Member
	join := func() {
		members = append(members, member.Member{
			ID: fmt.Sprintf("worker-%d", next), Zone: fmt.Sprintf("zone-%d", next%3), Weight: 1,
		})
		next++
	}
	for range f.members / f.cells {
		join()
	}
	now := shard.Plan{}.Next(n, members)
	kinds := []string{"join", "death", "drain"}
	sums := map[string]*totals{"join": {}, "death": {}, "drain": {}}
	for i := range changes {
		kind := kinds[i%len(kinds)]
		at := r.IntN(len(members))
		switch kind {
		case "join":
			join()
		case "death":
			members = slices.Delete(members, at, at+1)
		case "drain":
			members[at].Weight = 0
		}
		after := now.Next(n, members)
		sums[kind].add(n, members, now, after)
		now = after
		if kind == "drain" { // then it leaves
			members = slices.Delete(members, at, at+1)
			join()
			now = now.Next(n, members)
		}
	}
	var rows strings.Builder
	for _, kind := range kinds {
		rows.WriteString(sums[kind].row(f, kind))
	}
	return rows.String()
}

// add adds a change.
func (t *totals) add(n int, members []member.Member, before, after shard.Plan) {
	moves := before.Moves(after)
	t.changes++
	t.moves += moves
	t.most = max(t.most, moves)
	share := map[string]int{}
	for _, m := range members {
		if m.Weight > 0 {
			share[m.ID] = 0
		}
	}
	for s := range n {
		share[after.Owner(s)]++
	}
	low, high := n, 0
	for _, k := range share {
		low, high = min(low, k), max(high, k)
	}
	t.imbalance = max(t.imbalance, high-low)
	t.requests += 2 + requestsPerMove*moves // the member's key, and the assignment
	// Each member receives the assignment, and the leader the change of the group.
	t.events += len(members) + 1 + eventsPerMove*moves
	t.bytes += float64(after.Size()) * float64(len(members))
}

func (t *totals) row(f fleet, kind string) string {
	n := max(t.changes, 1)
	return fmt.Sprintf("| %d | %d | %d | %s | %.1f | %d | %d | %d | %d | %.1f |\n",
		f.members, f.shards, f.cells, kind, float64(t.moves)/float64(n), t.most, t.imbalance,
		t.requests/n, t.events/n, t.bytes/float64(n)/1e6)
}

func header(w io.Writer, seed uint64, changes int) {
	_, _ = fmt.Fprintf(w, "Seed %d, %d changes of each fleet, in turn joins, deaths and drains.\n\n"+
		"| members | shards | cells | change | moves, mean | most | imbalance "+
		"| requests | events | MB |\n"+
		"|---|---|---|---|---|---|---|---|---|---|\n", seed, changes) // into memory
}
