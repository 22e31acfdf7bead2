package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ShardOf returns the place of a shard of a group, which is the name of its line.
func ShardOf(group string, shard int) string { return fmt.Sprintf("%s//shards/%d", group, shard) }

// Fleets checks a group whose members divide shards, and write under them.
type Fleets struct {
	Group  string
	Shards int
}

// Check adds violations to rep. Each write of a shard must be in the log only while the shard's
// oldest key is the writer's, each acknowledged write must be in the log and no refused one, and
// each view must have the members of its revision, later than the view before.
func (f Fleets) Check(rep *Report, log Log, ops []Op) {
	written := map[string]int64{} // the revisions of the writes, by value
	for s := range f.Shards {
		f.writes(rep, log, ShardOf(f.Group, s), written)
	}
	for _, o := range ops {
		if o.Verb != Write || !strings.HasPrefix(o.Place, f.Group+"//") {
			continue
		}
		rev, found := written[o.Place+" "+Guarded(o.Fence, o.Token())]
		switch {
		case o.Outcome == OK && (!found || o.Revision != 0 && rev != o.Revision):
			rep.Addf("%s: the write %s was acknowledged at revision %d, and the log has it at %d",
				o.Place, o.Token(), o.Revision, rev)
		case (o.Outcome == Refused || o.Outcome == Failed) && found:
			rep.Addf("%s: the write %s was refused, and the log has it at %d", o.Place, o.Token(), rev)
		}
	}
	f.views(rep, log, ops)
}

// writes checks that only the holder of a shard writes, and notes the writes.
func (f Fleets) writes(rep *Report, log Log, place string, written map[string]int64) {
	line := map[string]int64{} // the create_revisions of the keys of the shard's line
	for _, r := range log {
		for _, ev := range r.Events {
			switch {
			case strings.HasPrefix(ev.Key, place+"/") && ev.Deleted:
				delete(line, ev.Key)
			case strings.HasPrefix(ev.Key, place+"/"):
				line[ev.Key] = ev.Create
			case ev.Key == ValueKey(place):
				first, _, _ := strings.Cut(ev.Value, " ")
				fence, _ := strconv.ParseInt(first, 10, 64)
				for _, create := range line {
					if create < fence {
						rep.Addf("%s: revision %d has a write with fence %d during the hold %d",
							place, r.Rev, fence, create)
					}
				}
				if !slices.Contains(values(line), fence) {
					rep.Addf("%s: revision %d has a write with fence %d, which holds nothing",
						place, r.Rev, fence)
				}
				if at, twice := written[place+" "+ev.Value]; twice {
					rep.Addf("%s: the write %q is in the log at %d and %d", place, ev.Value, at, r.Rev)
				}
				written[place+" "+ev.Value] = r.Rev
			}
		}
	}
}

func values(of map[string]int64) (all []int64) {
	for _, v := range of {
		all = append(all, v)
	}
	return all
}

// views compares the views of the members with the log.
func (f Fleets) views(rep *Report, log Log, ops []Op) {
	prefix := f.Group + "//members/"
	at := map[int64][]string{} // the members after each revision that changed them
	now := map[string]bool{}
	var revisions []int64
	for _, r := range log {
		changed := false
		for _, ev := range r.Events {
			if id, ok := strings.CutPrefix(ev.Key, prefix); ok {
				changed = true
				if now[id] = true; ev.Deleted {
					delete(now, id)
				}
			}
		}
		if changed {
			ids := make([]string, 0, len(now))
			for id := range now {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			revisions, at[r.Rev] = append(revisions, r.Rev), ids
		}
	}
	last := map[string]int64{}
	for _, o := range ops {
		if o.Verb != Observe || o.Place != f.Group {
			continue
		}
		if o.Revision < last[o.Client] {
			rep.Addf("%s: %s saw revision %d after %d", f.Group, o.Client, o.Revision, last[o.Client])
		}
		last[o.Client] = o.Revision
		i, exact := slices.BinarySearch(revisions, o.Revision)
		if !exact {
			i--
		}
		want := []string{}
		if i >= 0 {
			want = at[revisions[i]]
		}
		if o.Value != fmt.Sprintf("%q", want) {
			rep.Addf("%s: %s saw %s at revision %d, which has %q", f.Group, o.Client, o.Value,
				o.Revision, want)
		}
	}
}
