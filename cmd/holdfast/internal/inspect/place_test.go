package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// line returns a place whose members are "<lease>" or "<lease>=<value>", either of them optionally
// followed by "<" and the key of the parent hold.
func line(name, settings string, members ...string) Place {
	p := Place{Name: name, Settings: map[string]string{}}
	for s := range strings.FieldsSeq(settings) {
		what, value, _ := strings.Cut(s, "=")
		p.Settings[what] = strings.ReplaceAll(value, "_", " ")
	}
	for i, m := range members {
		m, within, _ := strings.Cut(m, "<")
		lease, value, _ := strings.Cut(m, "=")
		p.Members = append(p.Members, Member{
			Key: name + "/" + lease, Lease: leaseOf(lease), Fence: int64(i + 1), Value: value,
			Session: &session.Info{ParentKey: within},
		})
	}
	p.arrange()
	return p
}

func TestRecipeAndHolders(t *testing.T) {
	for _, tt := range []struct {
		place  Place
		recipe string
		holds  int
	}{
		{line("a", ""), Lock, 0},
		{line("a", "", "1", "2"), Lock, 1},
		{line("a", "", "1=shared", "2=shared", "3", "4=shared"), Lock, 2},
		{line("a", "", "1", "2=shared"), Lock, 1},
		{line("a", "", "1=host:80", "2="), Election, 1},
		{line("a", "limit=3 size=3", "1=2", "2=1", "3=1"), Semaphore, 2},
		{line("a", "limit=3 size=3", "1=1", "2=3", "3=1"), Semaphore, 1},
		{line("a", "limit=3 size=3", "1"), Semaphore, 1},
		{line("a", "limit=3 size=3", "1=1", "2"), Semaphore, 1},
		{line("a", "limit=3 size=0", "1=1"), Semaphore, 0},
		{line("a", "parties=double_2", "1", "2"), Barrier, 2},
		{line("a", "raised=", "1", "2"), Barrier, 2},
		{line("a", "parties=latch_2"), Latch, 0},
		{line("a", "tail=7", "1"), Queue, 1},
		{line("a", "state={}", "1", "2"), Cron, 1},
		{line("a", "pause={}"), Cron, 0},
		{line("a", "attempts=", "1", "2"), Once, 1},
		{line("a", "result={}"), Once, 0},
		{line("a", "bucket={}", "1=10", "2=5"), Limiter, 2},
		{line("a", "counter=3"), Counter, 0},
		{line("a", "next=3"), IDs, 0},
		{line("a", "assignment={}"), Shards, 0},
	} {
		holds := 0
		for _, m := range tt.place.Members {
			if m.Holds {
				holds++
			}
		}
		if tt.place.Recipe != tt.recipe || holds != tt.holds {
			t.Errorf("%+v: %s with %d holders, want %s with %d",
				tt.place, tt.place.Recipe, holds, tt.recipe, tt.holds)
		}
	}
}

func TestNameOfAKey(t *testing.T) {
	for key, want := range map[string]string{
		"a/1f": "a", "a/b/1f": "a/b", "a/1f-3": "a", "a/1e": "", "a//1f": "a/", "a//1f-2": "a/",
		"a///1f": "", "/1f": "", "1f": "", "a/1f/w0": "",
		"holdfast/sessions/1f": "", "holdfast/sessions/1f/left": "",
		"q//c/9/0000000000000042": "q queue", "a//heir": "",
		"a//running/1f": "",
		"a/-1f":         "",
	} {
		name, recipe, ok := parse(key, 0x1f)
		if got := strings.TrimSpace(name + " " + recipe); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", key, got, ok)
		}
	}
}

func TestLinesOfAGroupAreNoNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": false, "a/b": false, "a/": false, "a//shards/3": true, "a//leader": true,
	} {
		if ofGroup(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestAKeyWithoutALeaseIsRecognizedByItsForm(t *testing.T) {
	for key, want := range map[string]string{
		"a/6dd18b3364141523": "a", "a/b/6dd18b3364141523-1": "a/b",
		"a/6dd18b3364141523-1c40-0": "a", "a//6dd18b3364141523": "a/",
		"a/6dd18b3364141": "a", "a//w/6dd18b3364141523": "a//w", "a//c/9/0000000000000042": "a",
		"a/06dd18b3364141523-p5": "a", "a/06dd18b3364141523-1-p5-41": "a",
		"a/1f": "", "a/20260101": "", "a/bad": "", "a/6dd18b336414152z": "",
		"a/6dd18b33641415231": "", "a/06dd18b336414152": "",
		"6dd18b3364141523": "", "/6dd18b3364141523": "", "a/6dd18b3364141523/w0": "",
		"holdfast/sessions/6dd18b3364141523": "",
	} {
		name, ok := unleased(gateway.KeyValue{Key: key})
		if ok != (want != "") || ok && name != want {
			t.Errorf("%s: %q, %v", key, name, ok)
		}
		if _, ok := unleased(gateway.KeyValue{Key: key, Lease: 1}); ok {
			t.Errorf("%s under a lease", key)
		}
	}
}

func TestACircleOfWaitersIsADeadlock(t *testing.T) {
	for name, tt := range map[string]struct {
		places []Place
		want   string
	}{
		"nobody": {nil, ""},
		"crossed": {
			[]Place{line("x", "", "1", "2"), line("y", "", "2", "1")},
			"2 x 1, 1 y 2",
		},
		"in order": {[]Place{line("x", "", "1", "2"), line("y", "", "1", "2")}, ""},
		"three": {[]Place{
			line("x", "", "1", "2"), line("y", "", "2", "3"),
			line("z", "", "3", "1"),
		}, "2 x 1, 1 z 3, 3 y 2"},
		"chain": {[]Place{
			line("x", "", "1", "2"), line("y", "", "2", "3"),
			line("z", "", "3", "4"),
		}, ""},
		"behind a cycle": {[]Place{
			line("x", "", "1", "2", "3"), line("y", "", "2", "1"),
			line("z", "", "3", "4"),
		}, "2 x 1, 1 y 2"},
		"nested commands": {
			[]Place{line("x", "", "1", "4<y/3"), line("y", "", "3", "2<x/1")},
			"4 x 1, 2 y 3",
		},
		"nested in order": {[]Place{line("x", "", "1", "3"), line("y", "", "2<x/1", "4<z/5")}, ""},
		"under oneself":   {[]Place{line("x", "", "1", "2<x/1")}, "2 x 1"},
		"readers": {[]Place{
			line("x", "", "1=shared", "2=shared"),
			line("y", "", "1=shared", "2=shared"),
		}, ""},
		"upgrade": {[]Place{line("x", "", "1=shared", "2=shared", "1-1", "2-1")}, "1 x 1"},
		"permits": {
			[]Place{line("x", "limit=2 size=2", "1=1", "2=1", "1-1=1", "2-1=1")},
			"1 x 1",
		},
		"permits enough": {[]Place{line("x", "limit=3 size=3", "1=1", "2=1", "3=1", "1-1=1",
			"2-1=1")}, ""},
		"barrier": {[]Place{
			line("x", "parties=double_2", "1", "2"),
			line("y", "parties=double_2", "2", "1"),
		}, ""},
		"within a cycle": {[]Place{line("x", "", "1<x/2", "2<x/1")}, ""},
	} {
		var got []string
		for _, cycle := range Deadlocks(tt.places) {
			for _, w := range cycle {
				got = append(got,
					fmt.Sprintf("%x %s %x", int64(w.Waiter.Lease), w.Place, int64(w.Holder.Lease)))
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q, want %q", name, s, tt.want)
		}
	}
}

func TestSlashPairs(t *testing.T) {
	places := []Place{{Name: "a"}, {Name: "a/"}, {Name: "b/"}, {Name: "c"}, {Name: "c/d"}}
	if got := SlashPairs(places); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q", got)
	}
}
