package picture_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/picture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const s = int64(time.Second)

// history1 returns a history with two holders in turn. The first notices at learnt that it has lost
// the lock, and the second acquires it at 5 s.
func history1(learnt int64) (history.Log, []history.Op) {
	op := func(id int, client, verb, key string, call, back int64) history.Op {
		return history.Op{
			ID: id, Client: client, Place: "lock", Verb: verb, Key: key, Fence: int64(len(key)),
			Call: call, Return: back, Outcome: history.OK,
		}
	}
	log := history.Log{
		{Rev: 9, At: 4 * s, Events: []history.Event{{Key: "lock/a", Deleted: true}}},
	}
	return log, []history.Op{
		op(1, "victim", history.Lock, "lock/a", s, 2*s),
		op(2, "other", history.Lock, "lock/bb", 3*s, 5*s),
		op(3, "victim", history.Lose, "lock/a", learnt, learnt),
		op(4, "other", history.Unlock, "lock/bb", 8*s, 8*s),
	}
}

func TestThePictureShowsHoldsAndFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		learnt int64
		wrong  []picture.Bar
	}{
		{"in time", 3 * s, nil},
		{"too late", 6 * s, []picture.Bar{{From: 5 * s, To: 6 * s, Kind: picture.Wrong}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, ops := history1(c.learnt)
			lines := picture.Locks(log, ops, "lock", "another")
			if len(lines) != 2 || lines[0].Name != "lock · victim" ||
				lines[1].Name != "lock · other" || !lines[1].Last {
				t.Fatalf("%+v", lines)
			}
			want := append([]picture.Bar{
				{From: s, To: 2 * s, Kind: picture.Waits},
				{From: 2 * s, To: c.learnt, Kind: picture.Holds},
			}, c.wrong...)
			if !slices.Equal(lines[0].Bars, want) || lines[0].Deleted != 4*s ||
				lines[1].Deleted != 0 {
				t.Errorf("%+v, want bars %v", lines[0], want)
			}
			var out strings.Builder
			p := picture.Picture{
				Title:  "a < b",
				Faults: []picture.Fault{{What: "cut & gone", From: 2 * s, To: 7 * s}}, Lines: lines,
			}
			if err := p.Draw(&out); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), `class="wrong"`); n != len(c.wrong) {
				t.Errorf("%d marks of what is wrong, want %d", n, len(c.wrong))
			}
			for dec := xml.NewDecoder(strings.NewReader(out.String())); ; {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range []string{"a &lt; b", "cut &amp; gone"} {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is not shown", text)
				}
			}
		})
	}
}
