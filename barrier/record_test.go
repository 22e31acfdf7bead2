package barrier

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
)

// at returns a line at a revision, with a record, a mark and members with these fences.
func at(t *testing.T, revision int64, record []round, broken int64, fences ...int64) state {
	t.Helper()
	v := line.Snapshot{
		Revision: revision, Settings: map[string]string{},
		Puts: map[string]line.Put{},
	}
	for _, f := range fences {
		v.Members = append(v.Members, line.Member{Key: "k", Fence: f})
	}
	if record != nil {
		v.Settings[roundsSetting] = text(t, record)
		v.Puts[roundsSetting] = line.Put{
			Revision: 1 + record[len(record)-1].Last,
			Version:  int64(len(record)),
		}
	}
	if broken > 0 {
		v.Settings[brokenSetting] = ""
		v.Puts[brokenSetting] = line.Put{Revision: broken, Version: 3}
	}
	s, err := stateOf(&line.Line{Name: "a"}, v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, record []round) string {
	t.Helper()
	list, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%019d %s", record[len(record)-1].Last, list)
}

func TestARoundIsCompleteWithItsLastMember(t *testing.T) {
	t.Parallel()
	one, two := round{1, 3, 12}, round{2, 13, 15}
	for _, tt := range []struct {
		name string
		now  state
		want []round
	}{
		{"first", at(t, 20, nil, 0, 3, 5, 8), []round{{1, 3, 8}}},
		{"crowd", at(t, 20, nil, 0, 3, 5, 8, 9, 11), []round{{1, 3, 8}}},
		{"behind broken ones", at(t, 20, nil, 6, 3, 5, 8, 9, 11), []round{{4, 8, 11}}},
		{
			"entries with members stay", at(t, 20, []round{one, two}, 0, 10, 14, 16, 17, 18),
			[]round{one, two, {3, 16, 18}},
		},
		{
			"entries without members go", at(t, 20, []round{one, two}, 0, 14, 16, 17, 18),
			[]round{two, {3, 16, 18}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.now.complete(&line.Line{Name: "a"}, 3)
			if len(w.If) != 4 {
				t.Errorf("%d compares", len(w.If))
			}
			if put := gateway.OpPut("a//rounds",
				[]byte(text(t, tt.want))); !reflect.DeepEqual(w.Then, []gateway.Op{put}) {
				t.Errorf("writes %+v, want %v", w.Then, tt.want)
			}
		})
	}
}

func TestMembersWaitThatNoRoundHasTaken(t *testing.T) {
	t.Parallel()
	one, three := round{1, 3, 12}, round{3, 16, 18}
	for _, tt := range []struct {
		now  state
		want []int64
	}{
		{at(t, 20, nil, 0), nil},
		{at(t, 20, nil, 0, 5, 16), []int64{5, 16}},
		{at(t, 20, nil, 6, 5, 16), []int64{16}},
		{at(t, 20, nil, 17, 5, 16), nil},
		{at(t, 20, []round{one}, 0, 5, 14, 16), []int64{14, 16}},
		{at(t, 20, []round{one}, 15, 5, 14, 16), []int64{16}},
		{at(t, 20, []round{one, three}, 15, 5, 14, 16, 19), []int64{19}},
	} {
		var got []int64
		for _, m := range tt.now.waiting() {
			got = append(got, m.Fence)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v wait, want %v", tt.now, got, tt.want)
		}
	}
	s := at(t, 20, []round{one, three}, 0, 5, 16)
	if !one.anyIn(s.Snapshot) || (round{2, 13, 15}).anyIn(s.Snapshot) {
		t.Error("who is in which round")
	}
	for _, bad := range []string{"", "?", "12", "[]"} {
		if _, err := stateOf(&line.Line{Name: "a"},
			line.Snapshot{Settings: map[string]string{roundsSetting: bad}}); err == nil {
			t.Errorf("%q was read as a record", bad)
		}
	}
}

func TestARoundIsBrokenWhenOneOfItsMembersIsGone(t *testing.T) {
	t.Parallel()
	old := []round{{1, 3, 12}}
	before := at(t, 20, old, 0, 5, 14, 16)
	for _, tt := range []struct {
		name string
		now  state
		want bool
	}{
		{"same", before, false},
		{"one more", at(t, 21, old, 0, 5, 14, 16, 21), false},
		{"one of an old round less", at(t, 21, old, 0, 14, 16), false},
		{"one less", at(t, 21, old, 0, 5, 16), true},
		{"the same key again", at(t, 22, old, 0, 5, 16, 22), true},
		{"complete", at(t, 22, append(slices.Clip(old), round{2, 14, 16}), 0, 5), false},
	} {
		if got := tt.now.lost(before); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
