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
	if got := viewOf(&gateway.GetResponse{KVs: kvs}, "a/").Members; !slices.Equal(got, want) {
		t.Errorf("members = %v", got)
	}
	if got := viewOf(&gateway.GetResponse{KVs: kvs}, "a/b/").Members; !slices.Equal(got,
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

// script calls a mirror directly, without a server.
type script struct {
	*mirror
	f *lineWatch
}

func newScript() script {
	f := &lineWatch{created: make(chan struct{}), stop: func() {}}
	m := &mirror{
		id: mirrorID{prefix: "a/"}, rule: Exclusive, turn: make(chan struct{}, 1),
		waiters: map[string]*waiter{}, watch: f,
	}
	return script{m, f}
}

func (s script) events(evs ...gateway.Event) { s.take(s.f, gateway.WatchResponse{Events: evs}) }

func (s script) read(rev int64, members ...Member) {
	var kvs []gateway.KeyValue
	for _, m := range members {
		kvs = append(kvs,
			gateway.KeyValue{Key: m.Key, CreateRevision: m.Fence, ModRevision: m.Fence})
	}
	s.base(s.f, &gateway.GetResponse{Header: gateway.Header{Revision: rev}, KVs: kvs})
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
	f := s.look(w)
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
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, nil),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, nil)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member)
	s.want(t, b, state{})
	s.want(t, c, state{})
	s.events(del("a/x", 7))
	s.want(t, b, state{admitted: true})
	s.want(t, c, state{})
	if before := s.look(b).before; before == nil ||
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
	b := s.addWaiter(Member{Key: "a/b", Fence: 13}, nil)
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
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, nil)
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	s.events(del("a/x", 6), put("a/x", 7, 7))
	s.want(t, b, state{admitted: true})

	// The waiter's own key is deleted, and another client creates it again.
	s = newScript()
	b = s.addWaiter(Member{Key: "a/b", Fence: 5}, nil)
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
	b := s.addWaiter(Member{Key: "a/b", Fence: 4}, nil)
	s.events(put("a/b", 4, 4), put("a/c", 5, 5), put("a/b", 4, 6))
	s.want(t, b, state{})
	if want := []Member{
		{Key: "a/x", Fence: 3}, {Key: "a/b", Fence: 4}, {Key: "a/c", Fence: 5},
	}; !slices.Equal(s.view.Members, want) {
		t.Errorf("members = %v", s.view.Members)
	}
	s.events(del("a/x", 7))
	s.want(t, b, state{admitted: true})
}

// TestMirrorEarlyEvents checks that events received before the read are applied, except the ones
// that the read includes.
func TestMirrorEarlyEvents(t *testing.T) {
	t.Parallel()
	s := newScript()
	b := s.addWaiter(Member{Key: "a/b", Fence: 8}, nil)
	// The key was used before.
	s.events(put("a/b", 5, 5), del("a/b", 6), put("a/x", 7, 7), put("a/b", 8, 8))
	s.events(del("a/x", 9), put("a/x", 10, 10))
	s.want(t, b, state{})
	s.read(8, Member{Key: "a/x", Fence: 7}, b.Member)
	s.want(t, b, state{admitted: true})
	if want := []Member{b.Member, {Key: "a/x", Fence: 10}}; !slices.Equal(s.view.Members, want) {
		t.Errorf("members = %v", s.view.Members)
	}
}

func TestMirrorRemovedBeforeEnrolled(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.read(5, Member{Key: "a/x", Fence: 4})
	s.events(put("a/b", 6, 6), del("a/b", 7))
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, nil)
	s.want(t, b, state{gone: true})
}

func TestMirrorSubLines(t *testing.T) {
	t.Parallel()
	s := newScript()
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, nil)
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
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, nil),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, nil)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member)
	old := s.f
	s.take(old, gateway.WatchResponse{Err: gateway.ErrCompacted})
	if s.synced || s.watch != nil || s.err != nil {
		t.Fatal("it goes on")
	}
	for _, w := range []*waiter{b, c} { // one of them must do the work
		select {
		case <-w.wake:
		default:
			t.Error("not woken")
		}
	}
	s.f = &lineWatch{created: make(chan struct{})}
	s.watch = s.f
	// A late call of the old watch.
	s.take(old, gateway.WatchResponse{Events: []gateway.Event{del("a/c", 9)}})
	s.read(9, c.Member)
	s.want(t, b, state{gone: true})
	s.want(t, c, state{admitted: true})
	if before := s.look(c).before; before != nil {
		t.Errorf("nobody was seen to leave, but %+v", before)
	}
}

func TestMirrorEnds(t *testing.T) {
	t.Parallel()
	s := newScript()
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, nil)
	s.take(s.f, gateway.WatchResponse{Err: gateway.ErrPermissionDenied})
	select {
	case <-b.wake:
	default:
		t.Error("not woken")
	}
	if err := s.sync(t.Context()); !errors.Is(err, gateway.ErrPermissionDenied) {
		t.Errorf("sync = %v", err)
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
	full := errors.New("hopeless")
	hope := func(v Snapshot) error {
		if v.Settings["limit"] == "0" {
			return full
		}
		return nil
	}
	b, c := s.addWaiter(Member{Key: "a/b", Fence: 5}, hope),
		s.addWaiter(Member{Key: "a/c", Fence: 6}, hope)
	s.read(6, Member{Key: "a/x", Fence: 4}, b.Member, c.Member)
	s.want(t, b, state{})
	limit := put("a//limit", 7, 7)
	limit.KV.Value = []byte("2")
	s.events(limit)
	s.want(t, b, state{admitted: true})
	s.want(t, c, state{})
	limit.KV.Value, limit.KV.ModRevision, limit.KV.Version = []byte("0"), 8, 2
	s.events(limit)
	if v, _ := s.snapshot(); v.Puts["limit"] != (Put{Revision: 8, Version: 2}) {
		t.Errorf("puts = %v", v.Puts)
	}
	if f := s.look(b); f.hopeless != nil {
		t.Error("an admitted member lost hope")
	}
	if f := s.look(c); !errors.Is(f.hopeless, full) {
		t.Errorf("hopeless = %v", f.hopeless)
	}
	changed := put("a/x", 4, 9)
	changed.KV.Value = []byte("new")
	s.events(changed, del("a//limit", 10))
	if v, ok := s.snapshot(); !ok || v.Revision != 10 || v.Members[0].Value != "new" ||
		len(v.Settings)+len(v.Puts) > 0 {
		t.Errorf("view = %+v, %v", v, ok)
	}
}

// TestMirrorHopeIsOlderThanTheJoin checks that a state of the line before a member's join does not
// end its wait.
func TestMirrorHopeIsOlderThanTheJoin(t *testing.T) {
	t.Parallel()
	s := newScript()
	full := errors.New("hopeless")
	hope := func(v Snapshot) error {
		if len(v.Settings) == 0 {
			return full
		}
		return nil
	}
	s.read(4, Member{Key: "a/x", Fence: 4})
	b := s.addWaiter(Member{Key: "a/b", Fence: 6}, hope)
	s.want(t, b, state{})
	s.events(put("a//limit", 5, 5), put("a/b", 6, 6))
	s.want(t, b, state{})
	if f := s.look(b); f.hopeless != nil {
		t.Errorf("hopeless = %v", f.hopeless)
	}
	s.events(del("a//limit", 7))
	if f := s.look(b); !errors.Is(f.hopeless, full) {
		t.Errorf("hopeless = %v", f.hopeless)
	}
}

// TestMirrorDecidesAtRevisions checks that no member is admitted to a state between the events of
// one revision, because the line was never in that state.
func TestMirrorDecidesAtRevisions(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.rule = func(v Snapshot) int { return min(len(v.Settings["limit"]), len(v.Members)) }
	b := s.addWaiter(Member{Key: "a/b", Fence: 5}, nil)
	limit := put("a//limit", 3, 3)
	limit.KV.Value = []byte("i")
	s.read(5, Member{Key: "a/x", Fence: 4}, b.Member)
	s.events(limit, put("a/c", 4, 4)) // older than the read
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
