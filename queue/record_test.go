package queue

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, r := range []record{
		{ID: "694d5765fb0e1f01-000000001", Enqueued: 1},
		{
			ID: "a", Enqueued: 1 << 41, Attempts: 3, Priority: 9, Reason: "no\nway", DeadAt: 5,
			value: []byte("a\nb\x00\xff"),
		},
	} {
		got, err := decode(r.encode())
		if err != nil || !equal(got, r) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "\n", "{}\n", "junk\n", `{"id":"a"}`, `{"id":"a/b"}` + "\n",
		`{"id":"` + strings.Repeat("a", 65) + `"}` + "\n", `{"id":"a","attempts":-1}` + "\n",
		`{"id":"a","priority":10}` + "\n", `{"id":"a","priority":-1}` + "\n", `["a"]` + "\n",
	} {
		if r, err := decode([]byte(s)); err == nil {
			t.Errorf("decode(%q) = %+v", s, r)
		}
	}
}

func equal(a, b record) bool {
	va, vb := a.value, b.value
	a.value, b.value = nil, nil
	return bytes.Equal(va, vb) && bytes.Equal(a.encode(), b.encode())
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"694d5765fb0e1f01-000000001","enqueued":1732158400000}` + "\nvalue"))
	f.Add([]byte(`{"id":"a","enqueued":1,"attempts":2,"priority":9,"reason":"x","died":3}` + "\n"))
	f.Add([]byte("junk"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		if !plainID(r.ID) || r.Attempts < 0 || r.Priority < 0 || r.Priority > MaxPriority {
			t.Fatalf("%+v", r)
		}
		again, err := decode(r.encode())
		if err != nil || !equal(again, r) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

func TestPlacesSort(t *testing.T) {
	t.Parallel()
	places := []string{
		place(9, 5), place(9, 1<<40), place(5, 1), place(0, 9), place(0, 10),
		place(0, 999999), place(0, 1000000),
	}
	if !slices.IsSorted(places) {
		t.Errorf("not sorted: %v", places)
	}
	for i, want := range []int{9, 9, 5, 0, 0, 0, 0} {
		if got, ok := priorityOf(places[i]); got != want || !ok {
			t.Errorf("priorityOf(%s) = %d, %v", places[i], got, ok)
		}
	}
	for _, bad := range []string{
		"", "0", "0/1", "x/0000000000000001", "0/000000000000000x", "0-0000000000000001",
		place(0, 1) + "0",
	} {
		if _, ok := priorityOf(bad); ok {
			t.Errorf("%q is a place", bad)
		}
	}
}

func TestDueKeys(t *testing.T) {
	t.Parallel()
	k := keysOf("a")
	early, late := k.dueKey(999999999999, "b"), k.dueKey(1000000000000, "a")
	if early >= late {
		t.Errorf("%s sorts behind %s", early, late)
	}
	if due, ok := k.dueOf(early); due != 999999999999 || !ok {
		t.Errorf("dueOf(%s) = %d, %v", early, due, ok)
	}
	if _, ok := k.dueOf(k.delayed + "x/a"); ok {
		t.Error("a due time that is none")
	}
	if late < until(k.dead) && late > k.dead || until(k.items) <= k.items+place(0, 1) {
		t.Error("ranges overlap")
	}
}
