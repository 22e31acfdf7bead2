package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// picture is a board with a lock that is held, another that is broken, a semaphore, a paused queue,
// two sessions that wait for each other, one that does not renew, and a hostile name.
func picture(t *testing.T, use func(s *board.Snapshot)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		open := func(name string) *session.Session {
			s, err := session.New(ctx, c, &session.Options{Name: name})
			must(err)
			t.Cleanup(func() { _ = s.Close(context.Background()) })
			return s
		}
		b, err := board.Open(ctx, c, "")
		must(err)
		defer b.Close()
		one, two := open("one"), open("two")
		lock := func(s *session.Session, name string) *mutex.Lock {
			l, err := mutex.New(s, name, nil).Lock(ctx)
			must(err)
			return l
		}
		lock(one, "jobs/a")
		lock(two, "jobs/b")
		for s, name := range map[*session.Session]string{one: "jobs/b", two: "jobs/a"} {
			go func() { _, _ = mutex.New(s, name, nil).Lock(ctx) }()
		}
		_, err = semaphore.New(one, "gpus", 4, nil).Acquire(ctx, 3)
		must(err)
		q := queue.New(two, "mails", nil)
		_, err = q.EnqueueAll(ctx, [][]byte{[]byte("x"), []byte("y")}, nil)
		must(err)
		must(q.Pause(ctx))
		broken := lock(one, "nightly")
		synctest.Wait()
		b.Snapshot() // it has seen the hold
		must(session.Break(ctx, c, broken.Key(), broken.Fence(), "on fire"))
		grant, err := c.Grant(ctx, 0, 20*time.Second)
		must(err)
		_, err = c.Put(ctx, "\x1b[2J\x1b]0;owned\a漢字/"+grant.ID.String(), nil,
			gateway.WithLease(grant.ID))
		must(err)
		for range 14 {
			b.Snapshot() // then leases are read
			time.Sleep(time.Second)
		}
		synctest.Wait()
		use(b.Snapshot())
		cancel()
		synctest.Wait()
	})
}

func texts(lines []Line) (all []string) {
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

// TestAFrameFitsItsTerminal: in terminals of all sizes no line is too wide, there are no more lines
// than fit, and none has a control character.
func TestAFrameFitsItsTerminal(t *testing.T) {
	t.Parallel()
	picture(t, func(s *board.Snapshot) {
		for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 10}, {10, 3}, {1, 1}, {0, 0}, {20, 200}} {
			v := View{Prefix: "jobs/\x1b[31m", Width: size[0], Height: size[1], Now: time.Now()}
			lines := Frame(s, &v)
			if len(lines) > size[1] || size[1] >= 10 && len(lines) != size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, l := range lines {
				if n := width(l.Text); n > size[0] || strings.ContainsAny(l.Text, "\x1b\a\n") {
					t.Errorf("%v: %d columns: %q", size, n, l.Text)
				}
			}
		}
	})
}

// TestAFrameShowsThePicture: all that is to be seen is seen in 80 columns and 24 lines, and the
// things that need attention stand out.
func TestAFrameShowsThePicture(t *testing.T) {
	t.Parallel()
	picture(t, func(s *board.Snapshot) {
		for _, size := range [][2]int{{80, 24}, {200, 60}} {
			v := View{Width: size[0], Height: size[1], Now: time.Now()}
			lines := Frame(s, &v)
			all := strings.Join(texts(lines), "\n")
			for _, want := range []string{
				"holdfast", "2 waiting", "suspect", "deadlock: ", "waits at jobs/a", "one (",
				"[#######...] 3 of 4", "paused; 2 ready, 0 claimed", "broken: on fire", "漢字",
				"suspect: lease", "q quits", fmt.Sprintf("names 1-%d of", len(s.Names)),
			} {
				if !strings.Contains(all, want) {
					t.Errorf("%v: no %q in\n%s", size, want, all)
				}
			}
			for _, l := range lines {
				alarm := strings.Contains(l.Text, "deadlock") || strings.Contains(l.Text, "on fire") ||
					strings.Contains(l.Text, "suspect: ")
				if alarm != (l.Style == Alarm) {
					t.Errorf("the style of %q is %d", l.Text, l.Style)
				}
			}
		}
		gone := *s
		gone.Problem, gone.ProblemSince = errors.New("no route"), time.Now().Add(-90*time.Second)
		v := View{Width: 80, Height: 24, Now: time.Now()}
		if l := Frame(&gone, &v)[1]; l.Style != Alarm ||
			!strings.Contains(l.Text, "not up to date for 1m30s: no route") {
			t.Errorf("without etcd: %+v", l)
		}
	})
}

// TestScrollingReachesEachNameAndStops: each name is shown by some First, and First stays between
// the ends.
func TestScrollingReachesEachNameAndStops(t *testing.T) {
	t.Parallel()
	s := &board.Snapshot{}
	for i := range 100 {
		n := &board.Name{}
		n.Name = fmt.Sprintf("name-%03d", i)
		s.Names = append(s.Names, n)
	}
	v := View{Width: 80, Height: 24, Now: time.Now()}
	seen := map[string]bool{}
	for range 200 {
		for _, text := range texts(Frame(s, &v)) {
			if i := strings.Index(text, "name-"); i >= 0 {
				seen[text[i:i+8]] = true
			}
		}
		v.scroll(down)
	}
	if Frame(s, &v); len(seen) != 100 || v.First != 100-21 {
		t.Errorf("%d names seen, the first at the end is %d", len(seen), v.First)
	}
	for range 20 {
		v.scroll(pageUp)
		Frame(s, &v)
	}
	if v.First != 0 {
		t.Errorf("the first at the begin is %d", v.First)
	}
}

func TestKeysAreReadFromTheBytesOfATerminal(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string][]key{
		"q": {quit}, "\x03": {quit}, "\x1a": {suspend}, "j k": {down, pageDown, up},
		"\x1b[A\x1b[B":    {up, down},
		"\x1b[5~\x1b[6~b": {pageUp, pageDown, pageUp}, "xyz\x1b\x00\xff": nil, "\x1b[": nil,
		"\x1bOAq": {up, quit},
	} {
		if got := keysOf([]byte(typed)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", typed, got, want)
		}
	}
}

func TestATextIsCutAtTheWidthOfItsCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"abc": "abc", "abcdef": "abcd…", "漢字漢": "漢字…", "e\u0301tude": "e\u0301tude",
		"a\x1bb": "a?b", "a\xffb": "a?b",
	} {
		if got := fit(text, 5); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for age0, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 25 * time.Hour: "25h00m",
		72 * time.Hour: "3d", -time.Second: "0s",
	} {
		now := time.Now()
		if got := age(now, now.Add(-age0)); got != want {
			t.Errorf("%v: %q, want %q", age0, got, want)
		}
	}
}
