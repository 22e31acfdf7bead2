package line

import (
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestExclusive(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		if got := Exclusive(Snapshot{Members: make([]Member, n)}); got != min(n, 1) {
			t.Errorf("of %d: %d", n, got)
		}
	}
}

func TestMembersOf(t *testing.T) {
	t.Parallel()
	kvs := []gateway.KeyValue{
		{Key: "a/", CreateRevision: 1},
		{Key: "a/3", CreateRevision: 7},
		{Key: "a/1", CreateRevision: 9},
		{Key: "a/b/1", CreateRevision: 2},
		{Key: "a//", CreateRevision: 3},
		{Key: "a/2", CreateRevision: 8},
		{Key: "b/1", CreateRevision: 4},
	}
	want := []Member{{Key: "a/3", Fence: 7}, {Key: "a/2", Fence: 8}, {Key: "a/1", Fence: 9}}
	if got := snapshotOf(&gateway.GetResponse{KVs: kvs}, "a/").Members; !slices.Equal(got, want) {
		t.Errorf("members = %v", got)
	}
	if got := snapshotOf(&gateway.GetResponse{KVs: kvs}, "a/b/").Members; !slices.Equal(got,
		[]Member{{Key: "a/b/1", Fence: 2}}) {
		t.Errorf("of the line below = %v", got)
	}
}

func TestMemberLease(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]gateway.LeaseID{
		"a/1f": 0x1f, "a/b/1f": 0x1f, "a/1f-12": 0x1f, "a/694d81417acd4c8e": 0x694d81417acd4c8e,
		"a/": 0, "a/worker": 0, "a/-1": 0, "a/11112222333344445": 0,
		"a/ffffffffffffffff": -1, "a/1f_2": 0, "a/0x1f": 0, "a/+1": 0, "nothing": 0,
	} {
		if got := (Member{Key: key}).Lease(); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

// script calls a mirror directly, without a cache.
type script struct{ *mirror }

func newScript() script { return script{newMirror(nil, "a/", Exclusive)} }

// events applies events, revision by revision, as a cache does.
func (s script) events(evs ...gateway.Event) {
	for len(evs) > 0 {
		n := 1
		for n < len(evs) && evs[n].KV.ModRevision == evs[0].KV.ModRevision {
			n++
		}
		s.Apply(evs[:n])
		evs = evs[n:]
	}
}

func (s script) read(rev int64, members ...Member) {
	var kvs []gateway.KeyValue
	for _, m := range members {
		kvs = append(kvs,
			gateway.KeyValue{Key: m.Key, CreateRevision: m.Fence, ModRevision: m.Fence})
	}
	s.List(&gateway.GetResponse{Header: gateway.Header{Revision: rev}, KVs: kvs})
}

func put(key string, create, mod int64) gateway.Event {
	return gateway.Event{KV: gateway.KeyValue{Key: key, CreateRevision: create, ModRevision: mod}}
}

func del(key string, rev int64) gateway.Event {
	return gateway.Event{Deleted: true, KV: gateway.KeyValue{Key: key, ModRevision: rev}}
}

type state struct{ admitted, gone bool }

func (s script) want(t *testing.T, w *waiter, want state) {
	t.Helper()
	f := s.stateOf(w)
	if got := (state{f.admitted, f.gone}); got != want {
		t.Errorf("%v: %+v, want %+v", w.Member, got, want)
	}
	select {
	case <-w.wake:
		if want == (state{}) {
			t.Errorf("%v was woken for nothing", w.Member)
		}
	default:
		if want != (state{}) {
			t.Errorf("%v was not woken", w.Member)
		}
	}
}

func TestMirrorHandsOver(t *testing.T) {
	t.Parallel()
	s := newScript()
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{}, false),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, Join{}, false)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member)
	s.want(t, b, state{})
	s.want(t, c, state{})
	s.events(del("a/x", 7))
	s.want(t, b, state{admitted: true})
	s.want(t, c, state{})
	if before := s.stateOf(b).before; before == nil ||
		before.Member != (Member{Key: "a/x", Fence: 4}) {
		t.Errorf("before = %+v", before)
	}
	s.events(del("a/b", 8))
	s.want(t, c, state{admitted: true})
}

// TestMirrorOlderThanTheJoin checks that a mirror older than a member's join does not admit the
// member, even if its line is empty or has an earlier incarnation of the key.
func TestMirrorOlderThanTheJoin(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.read(10, Member{Key: "a/b", Fence: 3})
	b := s.addWaiter(Member{Key: "a/b", Fence: 13}, Join{}, false)
	s.want(t, b, state{})
	s.events(del("a/b", 11))
	s.want(t, b, state{})
	s.events(put("a/x", 12, 12))
	s.want(t, b, state{})
	s.events(put("a/b", 13, 13))
	s.want(t, b, state{})
	s.events(del("a/x", 14))
	s.want(t, b, state{admitted: true})
}

// TestMirrorDecidesAfterEachEvent checks a response that deletes a key and creates it again.
func TestMirrorDecidesAfterEachEvent(t *testing.T) {
	t.Parallel()
	s := newScript()
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{}, false)
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	s.events(del("a/x", 6), put("a/x", 7, 7))
	s.want(t, b, state{admitted: true})

	// The waiter's own key is deleted, and another client creates it again.
	s = newScript()
	b = s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{}, false)
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	s.events(del("a/b", 6), put("a/b", 7, 7), del("a/x", 8))
	s.want(t, b, state{gone: true})
}

// TestMirrorRepeatedJoin checks that a second copy of a join, which puts the same key again, does
// not change the line.
func TestMirrorRepeatedJoin(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.read(3, Member{Key: "a/x", Fence: 3})
	b := s.addWaiter(Member{Key: "a/b", Fence: 4}, Join{}, false)
	s.events(put("a/b", 4, 4), put("a/c", 5, 5), put("a/b", 4, 6))
	s.want(t, b, state{})
	if want := []Member{
		{Key: "a/x", Fence: 3}, {Key: "a/b", Fence: 4}, {Key: "a/c", Fence: 5},
	}; !slices.Equal(s.snapshot.Members, want) {
		t.Errorf("members = %v", s.snapshot.Members)
	}
	s.events(del("a/x", 7))
	s.want(t, b, state{admitted: true})
}

func TestMirrorRemovedBeforeEnrolled(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.read(5, Member{Key: "a/x", Fence: 4})
	s.events(put("a/b", 6, 6), del("a/b", 7))
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, Join{}, false)
	s.want(t, b, state{gone: true})
}

func TestMirrorSubLines(t *testing.T) {
	t.Parallel()
	s := newScript()
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, Join{}, false)
	s.read(4, Member{Key: "a/z/1", Fence: 3})
	s.events(put("a/z/2", 5, 5), put("a/b", 6, 6))
	s.want(t, b, state{admitted: true})
	s.events(del("a/z/1", 7))
	if s.last != nil {
		t.Errorf("%v left another line", s.last)
	}
}

func TestMirrorAfterCompaction(t *testing.T) {
	t.Parallel()
	s := newScript()
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{}, false),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, Join{}, false)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member, Member{Key: "a/y", Fence: 3})
	s.events(del("a/y", 7))
	r := s.addReader()
	s.Stale()
	for _, wake := range []chan struct{}{b.wake, c.wake, r} { // one of them must do the work
		select {
		case <-wake:
		default:
			t.Error("not woken")
		}
	}
	if _, ok := s.copy(); ok {
		t.Error("a stale mirror is shown")
	}
	d := s.addWaiter(Member{Key: "a/d", Fence: 5}, Join{}, false)
	s.want(t, d, state{}) // a stale mirror decides nothing
	s.read(9, c.Member)
	s.want(t, b, state{gone: true})
	s.want(t, d, state{gone: true})
	s.want(t, c, state{admitted: true})
	if before := s.stateOf(c).before; before != nil {
		t.Errorf("nobody was seen to leave, but %+v", before)
	}
}

func TestMirrorSettingsAndValues(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.rule = func(v Snapshot) int { // like a semaphore's
		if v.Settings["limit"] == "2" {
			return min(2, len(v.Members))
		}
		return min(1, len(v.Members))
	}
	full := errors.New("full")
	abort := func(v Snapshot, _ Member) error {
		if v.Settings["limit"] == "0" {
			return full
		}
		return nil
	}
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{Abort: abort}, false),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, Join{Abort: abort}, false)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member)
	s.want(t, b, state{})
	limit := put("a//limit", 7, 7)
	limit.KV.Value = []byte("2")
	s.events(limit)
	s.want(t, b, state{admitted: true})
	s.want(t, c, state{})
	limit.KV.Value, limit.KV.ModRevision, limit.KV.Version = []byte("0"), 8, 2
	s.events(limit)
	if v, _ := s.copy(); v.Puts["limit"] != (Put{Revision: 8, Version: 2}) {
		t.Errorf("puts = %v", v.Puts)
	}
	if f := s.stateOf(b); f.aborted != nil {
		t.Error("an admitted member was aborted")
	}
	if f := s.stateOf(c); !errors.Is(f.aborted, full) {
		t.Errorf("aborted = %v", f.aborted)
	}
	changed := put("a/x", 4, 9)
	changed.KV.Value = []byte("new")
	s.events(changed, del("a//limit", 10))
	if v, ok := s.copy(); !ok || v.Revision != 10 || v.Members[0].Value != "new" ||
		len(v.Settings)+len(v.Puts) > 0 {
		t.Errorf("view = %+v, %v", v, ok)
	}
}

// TestMirrorAbortIsOlderThanTheJoin checks that a state of the line before a member's join does not
// end its wait.
func TestMirrorAbortIsOlderThanTheJoin(t *testing.T) {
	t.Parallel()
	s := newScript()
	full := errors.New("full")
	abort := func(v Snapshot, _ Member) error {
		if len(v.Settings) == 0 {
			return full
		}
		return nil
	}
	s.read(4, Member{Key: "a/x", Fence: 4})
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, Join{Abort: abort}, false)
	s.want(t, b, state{})
	s.events(put("a//limit", 5, 5), put("a/b", 6, 6))
	s.want(t, b, state{})
	if f := s.stateOf(b); f.aborted != nil {
		t.Errorf("aborted = %v", f.aborted)
	}
	s.events(del("a//limit", 7))
	if f := s.stateOf(b); !errors.Is(f.aborted, full) {
		t.Errorf("aborted = %v", f.aborted)
	}
}

// TestMirrorDoesNotAdmitAnAbortedMember checks that a member whose wait has ended is not admitted
// later, before its goroutine has seen that.
func TestMirrorDoesNotAdmitAnAbortedMember(t *testing.T) {
	t.Parallel()
	s := newScript()
	full := errors.New("full")
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{Abort: func(v Snapshot, _ Member) error {
		if len(v.Settings) > 0 {
			return full
		}
		return nil
	}}, false)
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	s.events(put("a//limit", 6, 6), del("a//limit", 7), del("a/x", 8))
	if f := s.stateOf(b); f.admitted || !errors.Is(f.aborted, full) {
		t.Errorf("admitted %v, aborted = %v", f.admitted, f.aborted)
	}
}

// TestMirrorDecidesAtRevisions checks that no member is admitted to a state between the events of
// one revision, because the line was never in that state.
func TestMirrorDecidesAtRevisions(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.rule = func(v Snapshot) int { return min(len(v.Settings["limit"]), len(v.Members)) }
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, Join{}, false)
	limit := put("a//limit", 3, 3)
	limit.KV.Value = []byte("i")
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	limit.KV.ModRevision = 6
	s.events(limit)
	s.want(t, b, state{})
	none := put("a//limit", 3, 7)
	s.events(del("a/x", 7), none)
	s.want(t, b, state{})
	limit.KV.ModRevision = 8
	s.events(limit, del("a//other", 9))
	s.want(t, b, state{admitted: true})
}

// TestAMemberIsFarByTheNumberOfKeys: a member decides by the number of keys at its join whether it
// waits far back, so the mirror counts those that are no members too.
func TestAMemberIsFarByTheNumberOfKeys(t *testing.T) {
	t.Parallel()
	m := newScript()
	m.read(1)
	rev := int64(1)
	join := func(key string) []Member {
		rev++
		m.events(put(key, rev, rev))
		return []Member{{Key: key, Fence: rev}}
	}
	for _, key := range []string{"a//x", "a//y", "a/b/1", "a//z"} {
		join(key)
	}
	m.events(del("a//z", 6))
	rev = 6
	for i := range directWatchThreshold - 3 {
		if m.isFar(join("a/" + string(rune('c'+i)))) {
			t.Errorf("member %d is far", i)
		}
	}
	if !m.isFar(join("a/z")) {
		t.Error("a member that found 16 keys is not far")
	}
}
