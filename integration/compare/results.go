package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// lines are results in their printed form, which is also the form of the file.
type lines struct {
	about  string // the machine and the plan
	ratios []ratioLine
	points []pointLine
}

type ratioLine struct {
	kind, name         string
	low, mid, high     float64
	ours, theirs       float64
	unit               string
	ourCost, theirCost cost // of one operation
}

type pointLine struct {
	series       string
	size         int
	metric       string
	ours, theirs float64
	unit         string
}

const (
	ratioHead = "#     name                     min  median     max   holdfast      other unit" +
		"  client_us     other server_us     other   allocs   other"
	pointHead = "#     series       size metric               holdfast      other unit"
)

func (l lines) print(to io.Writer) error {
	for _, r := range l.ratios {
		_, err := fmt.Fprintf(to,
			"%-5s %-20s %7.2f %7.2f %7.2f %10s %10s %-4s %10s %9s %9s %9s %8s %7s\n",
			r.kind, r.name, r.low, r.mid, r.high, short(r.ours), short(r.theirs), r.unit,
			known(r.ourCost.client), known(r.theirCost.client), known(r.ourCost.server),
			known(r.theirCost.server), known(r.ourCost.allocs), known(r.theirCost.allocs))
		if err != nil {
			return err
		}
	}
	for _, p := range l.points {
		_, err := fmt.Fprintf(to, "point %-10s %6d %-18s %10s %10s %s\n", p.series, p.size, p.metric,
			short(p.ours), short(p.theirs), p.unit)
		if err != nil {
			return err
		}
	}
	return nil
}

// short formats a figure with about three significant digits.
func short(v float64) string {
	digits := 2
	for limit := 10.0; digits > 0 && math.Abs(v) >= limit; limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

func known(v float64) string {
	if v == 0 {
		return "-"
	}
	return short(v)
}

// parse reads the output of print.
func parse(from io.Reader) (l lines, err error) {
	in := bufio.NewScanner(from)
	for in.Scan() {
		f := fields{all: strings.Fields(in.Text())}
		switch kind := f.text(); kind {
		case "#":
			if l.about == "" {
				l.about = strings.TrimPrefix(in.Text(), "# ")
			}
			continue
		case "ratio", "floor":
			r := ratioLine{kind: kind, name: f.text(), low: f.number(), mid: f.number(), high: f.number()}
			r.ours, r.theirs, r.unit = f.number(), f.number(), f.text()
			r.ourCost.client, r.theirCost.client = f.number(), f.number()
			r.ourCost.server, r.theirCost.server = f.number(), f.number()
			r.ourCost.allocs, r.theirCost.allocs = f.number(), f.number()
			l.ratios = append(l.ratios, r)
		case "point":
			l.points = append(l.points,
				pointLine{f.text(), int(f.number()), f.text(), f.number(), f.number(), f.text()})
		default:
			f.err = fmt.Errorf("a line of the unknown kind %q", kind)
		}
		if f.err != nil || len(f.all) > 0 {
			return l, fmt.Errorf("results: %q: %w", in.Text(), f.err)
		}
	}
	return l, in.Err()
}

// fields are the fields of a line, read from the left.
type fields struct {
	all []string
	err error
}

func (f *fields) text() string {
	if len(f.all) == 0 {
		f.err = io.ErrUnexpectedEOF
		return ""
	}
	first := f.all[0]
	f.all = f.all[1:]
	return first
}

func (f *fields) number() float64 {
	text := f.text()
	if text == "-" {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.err = err
	}
	return v
}

func (l lines) ratio(kind, name string) (ratioLine, bool) {
	for _, r := range l.ratios {
		if r.kind == kind && r.name == name {
			return r, true
		}
	}
	return ratioLine{}, false
}

func (l lines) series(name, metric string) (all []pointLine) {
	for _, p := range l.points {
		if p.series == name && p.metric == metric {
			all = append(all, p)
		}
	}
	return all
}
