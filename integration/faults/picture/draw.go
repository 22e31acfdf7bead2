package picture

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// Kind is the meaning of a bar.
type Kind string

// The kinds of bars.
const (
	Waits Kind = "waits"
	Holds Kind = "holds"
	Wrong Kind = "wrong" // held while another client held, too
)

// Bar is a time of one client, in nanoseconds of the history's clock.
type Bar struct {
	From, To int64
	Kind     Kind
}

// Line is the row of one client.
type Line struct {
	Name    string
	Bars    []Bar
	Deleted int64 // when the server deleted its key; 0 if it did not
	Last    bool  // the last line of its place
}

// Fault is a fault and its time.
type Fault struct {
	What     string
	From, To int64
}

// Picture is a drawing of a history. It must not change while Draw runs.
type Picture struct {
	Title  string
	Faults []Fault
	Lines  []Line
}

// Sizes, in pixels.
const (
	width  = 860
	left   = 120 // the start of the time axis
	right  = 130
	top    = 40
	row    = 18
	bar    = 12
	legend = 46
)

var colours = map[Kind]string{Waits: "#b8c4d0", Holds: "#3b7dbd", Wrong: "#d62728"}

// Draw writes the picture as SVG. It returns an error if w does.
func (p *Picture) Draw(w io.Writer) error {
	from, to := p.span()
	scale := float64(width-left-right) / float64(max(1, to-from))
	x := func(at int64) float64 { return left + float64(min(max(at, from), to)-from)*scale }

	var b strings.Builder
	rows := top + row*len(p.Faults) + 6
	height := rows + row*len(p.Lines) + legend
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 `+
		`%d %d" role="img">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(p.Title))
	b.WriteString("<style>text{font:12px " +
		"sans-serif;fill:#222}.small{font-size:10px;fill:#666}</style>\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="8" y="18" font-weight="bold">%s</text>`+"\n",
		html.EscapeString(p.Title))

	bottom := rows + row*len(p.Lines)
	for s := int64(0); s <= (to-from)/int64(time.Second); s++ {
		at := x(from + s*int64(time.Second))
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#eee"/>`+"\n", at, top-8,
			at, bottom)
		fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d" text-anchor="middle">%d s</text>`+"\n",
			at, bottom+12, s)
	}
	for i, f := range p.Faults {
		y := top + row*i
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f2c14e"/>`+"\n",
			x(f.From), y, x(f.To)-x(f.From), row-2)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", x(f.From)+6, y+12,
			html.EscapeString(f.What))
	}
	for i, l := range p.Lines {
		y := rows + row*i
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text>`+"\n", y+11, html.EscapeString(l.Name))
		for _, c := range l.Bars {
			h, dy := bar, 1
			if c.Kind == Waits {
				h, dy = 4, 5
			}
			// A wrong bar may be milliseconds long and must be visible.
			wide := max(x(c.To)-x(c.From), map[Kind]float64{Wrong: 2}[c.Kind])
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" `+
				`fill="%s"/>`+"\n",
				c.Kind, x(c.From), y+dy, wide, h, colours[c.Kind])
			if c.Kind == Wrong {
				fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d">held %v too long</text>`+"\n",
					x(c.To)+6, y+11, time.Duration(c.To-c.From).Round(time.Millisecond))
			}
		}
		if l.Deleted != 0 {
			at := x(l.Deleted)
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#000" `+
				`stroke-width="2"/>`+"\n", at, y, at, y+bar+2)
		}
		if l.Last {
			fmt.Fprintf(&b, `<line x1="8" y1="%d" x2="%d" y2="%d" stroke="#ddd"/>`+"\n", y+row-2,
				width-right, y+row-2)
		}
	}
	at := float64(left)
	for _, k := range []struct {
		kind Kind
		text string
	}{{Waits, "waits"}, {Holds, "holds"}, {Wrong, "still holds what another has got"}} {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="20" height="10" fill="%s"/>`+"\n", at,
			height-18, colours[k.kind])
		fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d">%s</text>`+"\n", at+26, height-10,
			k.text)
		at += 40 + 6*float64(len(k.text))
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#000" `+
		`stroke-width="2"/>`+"\n", at+6, height-20, at+6, height-6)
	fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d">the server deletes the key</text>`+"\n",
		at+14, height-10)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// span returns the time of the picture, which is whole seconds from the first bar to the last.
func (p *Picture) span() (from, to int64) {
	from, to = math.MaxInt64, 0
	for _, l := range p.Lines {
		for _, b := range l.Bars {
			from, to = min(from, b.From), max(to, b.To)
		}
	}
	if from > to {
		return 0, int64(time.Second)
	}
	second := int64(time.Second)
	return from, from + (to-from+second-1)/second*second
}
