package main

import (
	"strings"
	"testing"
	"time"
)

func TestDurationIsATimeOrSeconds(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "1m30s": 90 * time.Second, "0": 0,
		"200ms": 200 * time.Millisecond,
		"":      -1, "soon": -1, "-1": -1, "-1s": -1, "NaN": -1, "inf": -1, "1e300": -1,
	} {
		var d duration
		switch err := d.Set(s); {
		case want < 0 && err == nil:
			t.Errorf("%q is %v", s, d)
		case want >= 0 && (err != nil || time.Duration(d) != want):
			t.Errorf("%q is %v, %v", s, d, err)
		}
	}
}

func TestRateIsANumberForATime(t *testing.T) {
	for s, want := range map[string]rate{
		"10/s": {Tokens: 10, Per: time.Second}, "100/m": {Tokens: 100, Per: time.Minute},
		"5/1m30s": {Tokens: 5, Per: 90 * time.Second}, "5/30s": {Tokens: 5, Per: 30 * time.Second},
		"": {}, "10": {}, "10/": {}, "/s": {}, "0/s": {}, "-1/s": {}, "1.5/s": {}, "1/0s": {},
		"1/-1s": {}, "1/s/s": {}, "1/day": {}, "99999999999999999999/s": {},
	} {
		var r rate
		switch err := r.Set(s); {
		case err == nil != (want.Tokens > 0), r != want:
			t.Errorf("%q is %v, %v", s, r.String(), err)
		}
	}
}

func TestUnprintableTextIsQuoted(t *testing.T) {
	for s, want := range map[string]string{
		"jobs/nightly (db3, pid 7)": "jobs/nightly (db3, pid 7)", "Zürich": "Zürich", "": "",
		"a\x1b[2Jb": `"a\x1b[2Jb"`, "a\nb": `"a\nb"`, "a\u202eb": `"a\u202eb"`, "\xff": `"\xff"`,
	} {
		if got := clean(s); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
}

func TestBriefKeepsWholeRunes(t *testing.T) {
	head := strings.Repeat("x", maxBrief-1)
	for value, want := range map[string]string{
		"": "", head + "y": head + "y", head + "é": head + "…", head + "yz": head + "y…",
		head + "\xff\xff":             head + "\xff…",
		"x" + strings.Repeat("世", 20): "x" + strings.Repeat("世", 19) + "…",
		strings.Repeat("\xbf", 80):    strings.Repeat("\xbf", maxBrief-4) + "…",
	} {
		if got := brief([]byte(value)); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}
