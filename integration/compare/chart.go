package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plots are SVG, drawn for a width of 720. Scales are logarithmic, so that a factor of two has the
// same length everywhere.
const (
	chartWidth = 720
	axisLeft   = 76
	axisRight  = chartWidth - 16
	axisTop    = 56
)

var colours = map[string]string{
	"holdfast": "#0b6e99", "clientv3": "#d9822b", "bare puts": "#8a8a8a",
}

// svg collects the elements of a drawing.
type svg struct {
	strings.Builder

	height int
}

func newSVG(height int, title string) *svg {
	s := &svg{height: height}
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="12">`, chartWidth, height)
	s.add(`<title>%s</title>`, html.EscapeString(title))
	s.add(`<rect width="%d" height="%d" fill="#ffffff"/>`, chartWidth, height)
	s.add(`<text x="12" y="22" font-size="15">%s</text>`, html.EscapeString(title))
	return s
}

func (s *svg) add(format string, args ...any) {
	s.WriteString(fmt.Sprintf(format, args...) + "\n")
}

func (s *svg) text(x, y float64, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="#333333">%s</text>`, x, y, anchor,
		html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 float64, colour string) {
	s.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, colour)
}

func (s *svg) end() string {
	s.add(`</svg>`)
	return s.String()
}

// scaling maps values to places on a logarithmic axis.
type scaling struct {
	low, high float64 // values
	from, to  float64 // coordinates
}

func (a scaling) at(v float64) float64 {
	v = min(max(v, a.low), a.high)
	return a.from + (a.to-a.from)*math.Log(v/a.low)/math.Log(a.high/a.low)
}

// around returns the scaling of an axis that begins and ends at a tick and has room for all values.
func around(values []float64, from, to float64) scaling {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	a := scaling{tickBelow(low), 1, from, to}
	for a.high = a.low * 2; a.high < high; {
		a.high = nextTick(a.high)
	}
	return a
}

// Ticks are 1, 2 and 5 in each power of ten.
func tickBelow(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{5, 2} {
		if v >= step*power*0.999 {
			return step * power
		}
	}
	return power
}

func nextTick(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+0.001))
	switch v / power {
	case 1:
		return 2 * power
	case 2:
		return 5 * power
	default:
		return tickBelow(10.01 * power)
	}
}

func (a scaling) ticks() (all []float64) {
	for v := a.low; v <= a.high*1.001; v = nextTick(v) {
		all = append(all, v)
	}
	return all
}

// label returns the text of a tick.
func label(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// curve is a series of a line plot.
type curve struct {
	name   string
	xs, ys []float64
}

// plot draws curves over sizes.
func plot(title, what, sizes string, curves []curve) string {
	const height, bottom = 360, 312
	s := newSVG(height, title)
	var xs, ys []float64
	for _, c := range curves {
		xs, ys = append(xs, c.xs...), append(ys, c.ys...)
	}
	x, y := around(xs, axisLeft, axisRight-8), around(ys, bottom, axisTop+8)
	for _, v := range y.ticks() {
		s.line(axisLeft, y.at(v), axisRight, y.at(v), "#e4e4e4")
		s.text(axisLeft-6, y.at(v)+4, "end", label(v))
	}
	drawn := map[float64]bool{}
	for _, v := range xs { // ticks are the measured sizes, not round numbers
		if !drawn[v] {
			s.line(x.at(v), axisTop, x.at(v), bottom, "#f2f2f2")
			s.text(x.at(v), bottom+18, "middle", label(v))
			drawn[v] = true
		}
	}
	s.text((axisLeft+axisRight)/2, height-8, "middle", sizes)
	s.text(12, 42, "start", what)
	for i, c := range curves {
		var path []string
		for k := range c.xs {
			if c.ys[k] <= 0 {
				continue
			}
			px, py := x.at(c.xs[k]), y.at(c.ys[k])
			path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
			s.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, px, py, colours[c.name])
		}
		s.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(path, " "),
			colours[c.name])
		s.legend(i, c.name)
	}
	return s.end()
}

func (s *svg) legend(i int, name string) {
	x := float64(axisRight - 110*(i+1))
	s.add(`<rect x="%.1f" y="33" width="11" height="11" fill="%s"/>`, x, colours[name])
	s.text(x+16, 43, "start", name)
}

// bar is a ratio with its range.
type bar struct {
	name           string
	low, mid, high float64
}

// bars draws ratios as bars that start at 1.
func bars(title string, all []bar) string {
	const row, left = 20, 170
	bottom := float64(axisTop + row*len(all))
	s := newSVG(int(bottom)+34, title)
	values := []float64{0.5, 2}
	for _, b := range all {
		values = append(values, b.low, b.high)
	}
	x := around(values, left, axisRight-44)
	for _, v := range x.ticks() {
		s.line(x.at(v), axisTop-8, x.at(v), bottom, "#e4e4e4")
		s.text(x.at(v), bottom+16, "middle", label(v))
	}
	for i, b := range all {
		y := float64(axisTop + row*i)
		from, to := min(x.at(1), x.at(b.mid)), max(x.at(1), x.at(b.mid))
		colour := colours["holdfast"]
		if b.mid < 1 {
			colour = colours["clientv3"]
		}
		s.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="11" fill="%s"/>`, from, y, to-from, colour)
		s.line(x.at(b.low), y+5.5, x.at(b.high), y+5.5, "#222222")
		s.text(left-8, y+10, "end", b.name)
		s.text(max(to, x.at(b.high))+5, y+10, "start", short(b.mid))
	}
	s.line(x.at(1), axisTop-8, x.at(1), bottom, "#555555")
	s.text(12, 42, "start", "ratio to clientv3; right of 1: holdfast is ahead; "+
		"the thin line is from the lowest to the highest round")
	return s.end()
}
