package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSimulation: the same seed has the same rows, moves are at most the share of a member and one
// more, and equal members differ by at most one shard.
func TestSimulation(t *testing.T) {
	t.Parallel()
	f := fleet{cells: 2, members: 40, shards: 1000}
	rows := f.run(7, 12)
	if again := f.run(7, 12); rows != again {
		t.Errorf("two runs differ:\n%s\n%s", rows, again)
	}
	for row := range strings.Lines(rows) {
		cells := strings.Split(row, " | ")
		if most, imbalance := cells[5], cells[6]; len(most) > 2 || most > "27" || imbalance > "1" {
			t.Errorf("%s", row)
		}
	}
	if strings.Count(rows, "\n") != 3 {
		t.Errorf("%s", rows)
	}
}

func TestTheTableIsReplaced(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("a\n"+begin+"old\n"+end+"b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(page, []byte("new\n"), nil); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if want := "a\n" + begin + "new\n" + end + "b\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	var out bytes.Buffer
	if err := write("", []byte("new\n"), &out); err != nil || out.String() != "new\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := write(filepath.Join(t.TempDir(), "none"), nil, nil); err == nil {
		t.Error("a page that does not exist")
	}
}
