package faults_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

const (
	// matrixVar makes TestFaults run the whole matrix or the listed faults.
	matrixVar = "HOLDFAST_FAULTS"
	seedVar   = "HOLDFAST_FAULTS_SEED"
)

// quick are the faults that every change is tested with, because they found the most errors in the
// prototypes.
var quick = []string{"F1", "F3", "F8", "F10"}

// seed returns the seed of random choices.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVar)
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFaults(t *testing.T) {
	chosen := quick
	if text := os.Getenv(matrixVar); text != "" {
		chosen = splitList(text)
	}
	void := 0
	t.Log("table: | fault | what happens | recipes that work after it | operations | of unknown " +
		"fate | violations | gap | besides |")
	t.Log("table: |---|---|---|---|---|---|---|---|")
	for _, f := range all() {
		if !slices.Contains(chosen, f.name) && !slices.Contains(chosen, "all") {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			if _, why := run(t, f, etcdproc.Versions()[0], seed(t)); why != "" {
				void++
				t.Skipf("void: %s", why)
			}
		})
	}
	if void > 0 {
		t.Skipf("void: %d of the faults say nothing", void)
	}
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
