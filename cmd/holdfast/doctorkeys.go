package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
)

// keys checks the keys and leases in etcd.
func (d *doctor) keys(ctx context.Context, prefix string) error {
	ctx, cancel, err := d.app.listing(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	all, err := d.app.members(ctx, prefix)
	if err != nil {
		return err
	}
	d.leases(all)
	for _, name := range inspect.SlashPairs(all.Places) {
		d.note("names",
			"%s and %s/ are both in use, and do not exclude each other: "+
				"use one of them everywhere", name, name)
	}
	if err := d.leftovers(ctx, all, prefix); err != nil {
		return err
	}
	return d.deadlocks(ctx, all, prefix)
}

func (d *doctor) leases(all *inspect.Snapshot) {
	members := 0
	for _, p := range all.Places {
		members += len(p.Members)
	}
	where := "in the cluster"
	if all.RecordsOnly {
		where = "with a session's record"
	}
	d.ok("leases", "%d %s, %d holders and waiters at %d names",
		all.Leases, where, members, len(all.Places))
	for _, text := range missing(all) {
		d.note("leases", "%s", text)
	}
	for _, c := range all.LargeLeases {
		name := "lease " + c.Lease.String()
		if c.Session != nil {
			name = c.Session.String()
		}
		d.note("leases",
			"%s has %d keys, each of which etcd looks at in every put under the lease if "+
				"authentication is on and the user is not root; above %d use several sessions",
			name, c.Keys, inspect.ManyKeys)
	}
}

// leftovers looks for members and claims without a lease, or under another session's lease. They
// never expire, so waiters behind them would wait for ever.
func (d *doctor) leftovers(ctx context.Context, all *inspect.Snapshot, prefix string) error {
	used := map[string]bool{}
	for _, p := range all.Places {
		used[p.Name] = true
	}
	unleased, err := d.unleased(ctx, prefix)
	if err != nil {
		return err
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(used)), maps.Values(unleased))
	slices.Sort(names)
	places, err := inspect.Many(ctx, d.app.client, slices.Compact(names))
	if err != nil {
		return err
	}
	found := false
	for _, p := range places {
		for i := range p.Members {
			m := &p.Members[i]
			// otherwise the key belongs to no recipe
			if _, likely := unleased[m.Key]; used[p.Name] || likely {
				found = d.leftover(p, m, used[p.Name]) || found
			}
		}
		if p.Paused() {
			d.note("leftovers", "queue %s is paused", p.Name)
		}
	}
	if !found {
		d.ok("leftovers", "no key without a lease among holders and waiters")
	}
	return nil
}

// leftover reports a member that is not under its lease. A candidate at a name that is not used
// otherwise may be a key of another program.
func (d *doctor) leftover(p *inspect.Place, m *inspect.Member, used bool) (found bool) {
	const remedy = "if it is a leftover type: holdfast break %s --key %s --reason TEXT"
	switch {
	case !used && m.Under == 0 && p.Recipe == inspect.Election:
		d.note("leftovers",
			"%s looks like a candidate of an election that nobody else uses, and has no "+
				"lease; "+remedy, m.Key, p.Name, m.Key)
	case m.Under != m.Lease || m.Under == 0 && p.Recipe == inspect.Queue:
		d.wrong("leftovers",
			"%s is not under the lease of its session, so that it may stay for ever; "+remedy,
			m.Key, p.Name, m.Key)
	case m.Lease == 0 && p.Recipe != inspect.Queue:
		d.wrong("leftovers", "%s has no lease, so that %s %s is never free of it; "+remedy,
			m.Key, p.Recipe, p.Name, p.Name, m.Key)
	default:
		return false
	}
	return true
}

// maxKeys bounds how many keys are read.
const maxKeys = 100_000

// unleased returns the keys that have lost their lease, with the name of each, as far as the user
// may read them.
func (d *doctor) unleased(ctx context.Context, prefix string) (map[string]string, error) {
	names, more, err := inspect.Unleased(ctx, d.app.client, prefix, maxKeys)
	switch {
	case errors.Is(err, gateway.ErrPermissionDenied):
		d.note("leftovers",
			"this user may not read all keys that begin with %q, so only names that are in use "+
				"were looked at", prefix)
		return nil, nil
	case err != nil:
		return nil, err
	case more:
		d.note("leftovers",
			"more than %d keys begin with %q: names that nobody uses were looked for "+
				"among the first; "+
				"a longer PREFIX looks at fewer", maxKeys, prefix)
	}
	return names, nil
}

// deadlocks reads twice: only members in a deadlock wait for each other in both reads.
func (d *doctor) deadlocks(ctx context.Context, all *inspect.Snapshot, prefix string) error {
	cycles := inspect.Deadlocks(all.Places)
	if len(cycles) > 0 {
		again, err := d.app.members(ctx, prefix)
		if err != nil {
			return err
		}
		cycles = inspect.Deadlocks(again.Places)
	}
	for _, cycle := range cycles {
		var steps []string
		for _, w := range cycle {
			steps = append(steps,
				fmt.Sprintf("%s waits for %s, which %s holds",
					owner(&w.Waiter), w.Place, owner(&w.Holder)))
		}
		last := cycle[len(cycle)-1]
		d.wrong("deadlock", "%s; one of them has to give up: holdfast break %s --reason TEXT",
			strings.Join(steps, "; "), last.Place)
	}
	if len(cycles) == 0 {
		d.ok("deadlock", "no sessions wait for each other in a circle")
	}
	return nil
}
