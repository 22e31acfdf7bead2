package semaphore

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/holdfast-go/holdfast/internal/line"
)

func viewOf(size string, weights ...string) line.Snapshot {
	v := line.Snapshot{Settings: map[string]string{}}
	if size != "" {
		v.Settings[sizeSetting] = size
	}
	for i, w := range weights {
		v.Members = append(v.Members, line.Member{
			Key: "a/" + strconv.Itoa(i), Fence: int64(i + 1),
			Value: w,
		})
	}
	return v
}

func TestMembersAreAdmittedInOrderUpToTheSize(t *testing.T) {
	t.Parallel()
	most := strconv.Itoa(math.MaxInt)
	for _, tt := range []struct {
		size     string
		weights  []string
		used     int
		admitted int
	}{
		{"3", nil, 0, 0},
		{"3", []string{"1", "1", "1", "1"}, 3, 3},
		{"3", []string{"2", "2", "1"}, 2, 1}, // the light one does not overtake
		{"3", []string{"1", "2"}, 3, 2},
		{"3", []string{"4", "1"}, 0, 0},
		{"3", []string{"", "1"}, 3, 1},  // a mutex first
		{"3", []string{"1", ""}, 1, 1},  // and behind
		{"3", []string{"shared"}, 3, 1}, // a reader
		{"3", []string{"0", "1"}, 3, 1},
		{"3", []string{"-1", "3"}, 3, 1},
		{"3", []string{"01", "1"}, 3, 1},
		{"3", []string{"+1", "1"}, 3, 1},
		{"", []string{"1"}, 0, 0},
		{"", []string{""}, 0, 0},
		{"0", []string{"1"}, 0, 0},
		{"0", []string{""}, 0, 0},
		{"-2", []string{"1", ""}, 0, 0},
		{"three", []string{"1"}, 0, 0},
		{most, []string{most, most}, math.MaxInt, 1}, // the sum does not fit into an int
		{most, []string{"1", most}, 1, 1},
		{most + "0", []string{"1"}, 0, 0},
	} {
		size, used, admitted := fill(viewOf(tt.size, tt.weights...))
		if used != tt.used || admitted != tt.admitted {
			t.Errorf("%q %q: %d used by %d, want %d by %d", tt.size, tt.weights, used, admitted,
				tt.used, tt.admitted)
		}
		if n, _ := strconv.Atoi(tt.size); size != parse(tt.size) || size > 0 && size != n {
			t.Errorf("%q: size %d", tt.size, size)
		}
	}
}

func TestALimitIsAPositiveNumber(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"1": 1, "42": 42, "0": 0, "": 0, "-1": 0, "+1": 0, "01": 0, "1\n": 0, "0x1": 0, "1e3": 0,
		"1_000": 0, "９": 0, "99999999999999999999": 0,
	} {
		if got := parse(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

// FuzzFill: the admitted members fit, and the next one does not.
func FuzzFill(f *testing.F) {
	f.Add("3", "1", "2", "1")
	f.Add("5", "", "1", "9")
	f.Fuzz(func(t *testing.T, limit, a, b, c string) {
		v := viewOf(limit, a, b, c)
		size, used, admitted := fill(v)
		sum := 0
		for _, m := range v.Members[:admitted] {
			sum += weigh(m, size)
		}
		if sum != used || used > size || used < 0 {
			t.Errorf("%d of %d used, sum %d", used, size, sum)
		}
		if size > 0 && admitted < len(v.Members) && weigh(v.Members[admitted], size) <= size-used {
			t.Errorf("%q would fit: %d of %d used", v.Members[admitted].Value, used, size)
		}
	})
}

// TestAFrontThatIsNotAdmittedDecides: a front of the line whose members are not all admitted
// decides on the whole line, because members far back read no more than a front.
func TestAFrontThatIsNotAdmittedDecides(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		weights := make([]string, 20)
		for i := range weights {
			weights[i] = strconv.Itoa(random.IntN(6)) // 0 is the value of another kind
		}
		v := viewOf(strconv.Itoa(random.IntN(30)), weights...)
		all := admit(v)
		for n := range weights {
			front := line.Snapshot{Settings: v.Settings, Members: v.Members[:n]}
			if got := admit(front); got < n && got != all {
				t.Fatalf("%d of the first %d of %v, %d of all", got, n, weights, all)
			}
		}
	}
}
