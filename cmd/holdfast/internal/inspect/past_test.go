package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWatchWithoutProgressIsNamed: the time that was given is not the reason if etcd has answered.
func TestAWatchWithoutProgressIsNamed(t *testing.T) {
	t.Parallel()
	err := unreported(context.DeadlineExceeded, true)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3.5.8") {
		t.Errorf("after an answer: %v", err)
	}
	err = unreported(context.DeadlineExceeded, false)
	if err == nil || strings.Contains(err.Error(), "3.5.8") {
		t.Errorf("without an answer: %v", err)
	}
}

// TestReplay: each case is a history, one event a word: "+a" puts the member a, "-a" deletes it,
// "a=2" puts it with a value, "size=2" puts a setting. The first event has revision 1.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, events, want string }{
		{"one after the other", "+a +b -a -b +a", "a 1-3, b 3-4, free 4-5, a 5-0"},
		{"a waiter leaves", "+a +b -b -a", "a 1-4, free 4-0"},
		{"readers, then a writer", "a=shared b=shared +c -a -b", "a 1-4, b 2-5, c 5-0"},
		{
			"a heavy waiter keeps the one behind it back",
			"limit=2 size=2 a=1 b=2 c=1 -a -b", "a 3-6, b 6-7, c 7-0",
		},
		{"a smaller semaphore", "limit=2 size=2 a=1 b=1 size=1 -a", "a 3-6, b 4-5, b 6-0"},
		{"other names below", "/x/+a +a", "a 2-0"},
		{"joined again under the same key", "+a -a +a", "a 1-2, free 2-3, a 3-0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			past := &Past{}
			y := &replay{past: past, place: Place{Name: "n", Settings: map[string]string{}}}
			created := map[string]int64{}
			var events []gateway.Event
			for i, word := range strings.Fields(tt.events) {
				events = append(events, eventOf(word, int64(i+1), created))
			}
			y.run(events)
			var got []string
			for _, h := range past.Holds {
				name := "free"
				if !h.Free {
					name = h.Key[len(h.Key)-1:]
				}
				got = append(got, fmt.Sprintf("%s %d-%d", name, h.From, h.To))
			}
			if all := strings.Join(got, ", "); all != tt.want {
				t.Errorf("got %q, want %q", all, tt.want)
			}
		})
	}
}

func eventOf(word string, revision int64, created map[string]int64) gateway.Event {
	key, value, _ := strings.Cut(strings.TrimLeft(word, "+-"), "=")
	switch {
	case strings.HasPrefix(word, "/"):
		key = "n" + strings.ReplaceAll(word, "+", "")
	case len(key) > 1:
		key = settingKey("n", key)
	default:
		key = "n/6dd18b336414152" + key
	}
	ev := gateway.Event{Deleted: word[0] == '-'}
	ev.KV.Key, ev.KV.ModRevision, ev.KV.Value = key, revision, []byte(value)
	if ev.Deleted {
		delete(created, key)
		return ev
	}
	if created[key] == 0 {
		created[key] = revision
	}
	ev.KV.CreateRevision = created[key]
	return ev
}
