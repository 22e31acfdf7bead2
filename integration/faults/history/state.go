package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The verbs of shared state.
const (
	Transfer = "transfer" // a transaction; Revision is its revision
	Take     = "take"     // of a token
	// Copy is a look at a cache. Round is the revision that it waited for, Revision is the revision
	// of the copy, and Value is its keys, see Image.
	Copy = "copy"
)

// Banks checks transfers between accounts, whose sum is 0, and copies of the accounts. A transfer
// changes accounts below Place/account/, and puts a key Place/log/<token> with its own token.
type Banks struct{ Place string }

// AccountPrefix returns the prefix of the accounts.
func (b Banks) AccountPrefix() string { return b.Place + "/account/" }

// LogKey returns the key that a transfer puts.
func (b Banks) LogKey(token string) string { return b.Place + "/log/" + token }

// Image is the text of a state: all keys with the revisions of their last changes.
func Image(keys map[string]int64) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&text, "%s=%d ", key, keys[key])
	}
	return text.String()
}

// Check adds the violations to rep: a sum that is not 0 at a revision, a transfer that was applied
// twice, or otherwise than its call returned, a copy that is not the state at its revision, or is
// older than one before, or than the revision that was waited for.
func (b Banks) Check(rep *Report, log Log, all []Op) {
	ops := Of(all, b.Place)
	var copies []Op
	newest := map[string]int64{}
	for _, o := range ops {
		if o.Verb != Copy || o.Outcome != OK {
			continue
		}
		copies = append(copies, o)
		if o.Revision < max(o.Round, newest[o.Client]) {
			rep.Addf("%s: %s saw revision %d after %d, and waited for %d", b.Place, o.Client,
				o.Revision, newest[o.Client], o.Round)
		}
		newest[o.Client] = max(newest[o.Client], o.Revision)
	}
	slices.SortFunc(copies, func(a, b Op) int { return cmp.Compare(a.Revision, b.Revision) })
	compare := func(before int64, keys map[string]int64) {
		for len(copies) > 0 && copies[0].Revision < before {
			if image := Image(keys); copies[0].Value != image {
				rep.Addf("%s: %s has a copy of revision %d with %q, etcd had %q", b.Place,
					copies[0].Client, copies[0].Revision, copies[0].Value, image)
			}
			copies = copies[1:]
		}
	}
	applied := map[string]int64{}
	balance, keys, sum := map[string]int{}, map[string]int64{}, 0
	for _, r := range log {
		compare(r.Rev, keys)
		for _, ev := range r.Events {
			if token, ok := strings.CutPrefix(ev.Key, b.LogKey("")); ok {
				if applied[token] != 0 {
					rep.Addf("%s: %s was applied at %d and %d", b.Place, token, applied[token], r.Rev)
				}
				applied[token] = r.Rev
			}
			if strings.HasPrefix(ev.Key, b.AccountPrefix()) {
				n, _ := strconv.Atoi(ev.Value)
				sum += n - balance[ev.Key]
				balance[ev.Key], keys[ev.Key] = n, r.Rev
			}
		}
		if sum != 0 {
			rep.Addf("%s: revision %d: the sum is %d", b.Place, r.Rev, sum)
			return
		}
	}
	compare(math.MaxInt64, keys)
	for _, o := range ops {
		at := applied[o.Token()]
		switch {
		case o.Verb != Transfer:
		case o.Outcome == OK && at != o.Revision, o.Outcome == Failed && at != 0:
			rep.Addf("%s: %s: %s at %d, and the log has it at %d", b.Place, o.Token(), o.Outcome,
				o.Revision, at)
		}
	}
}

// Limits checks that no more tokens are taken at any time than a burst, and a rate since the first
// call. It is a value.
type Limits struct {
	Place  string
	Burst  int
	Second int // tokens of a second
}

// Check adds a violation to rep.
func (l Limits) Check(rep *Report, all []Op) {
	var times []int64
	first := int64(0)
	for _, o := range Of(all, l.Place) {
		if first == 0 || o.Call < first {
			first = o.Call
		}
		if o.Verb == Take && o.Outcome == OK {
			times = append(times, o.Return)
		}
	}
	slices.Sort(times)
	for i, at := range times {
		passed := time.Duration(at - first)
		if most := l.Burst + int(passed.Seconds()*float64(l.Second)); i+1 > most {
			rep.Addf("%s: %d tokens after %v, %d are allowed", l.Place, i+1, passed, most)
			return
		}
	}
}
