package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
)

// Style is how a line is shown.
type Style int

// The styles of lines.
const (
	Plain   Style = iota
	Heading       // reversed
	Alarm         // needs attention
)

// Line is one line of a frame. It is not wider than the frame.
type Line struct {
	Text  string
	Style Style
}

// View is the part of the picture that a frame shows.
type View struct {
	Prefix        string
	Width, Height int
	First         int // the index of the first name
	Now           time.Time
}

const help = "q quits   up, down, space: scroll"

// Frame draws a snapshot: at most as many lines as the view is high. It sets First to the nearest
// index that is possible.
func Frame(s *board.Snapshot, v *View) []Line {
	var lines []Line
	add := func(style Style, text string) {
		text = fit(text, v.Width)
		if style == Heading { // a bar over the whole width
			text += strings.Repeat(" ", v.Width-width(text))
		}
		lines = append(lines, Line{text, style})
	}
	add(Heading, headline(s, v))
	if s.Problem != nil {
		add(Alarm, fmt.Sprintf("not up to date for %s: %v", age(v.Now, s.ProblemSince), s.Problem))
	}
	for _, note := range s.Notes {
		add(Alarm, note)
	}
	for _, cycle := range s.Cycles[:min(len(s.Cycles), 3)] {
		var steps []string
		for _, w := range cycle {
			steps = append(steps, board.Owner(&w.Waiter)+" waits at "+w.Place)
		}
		add(Alarm, "deadlock: "+strings.Join(steps, ", "))
	}
	rest := v.Height - len(lines) - 1 // without the help
	sessions := min(len(s.Sessions), max(0, rest/3-1))
	rows := max(0, rest-1)
	if sessions > 0 {
		rows = max(0, rows-sessions-1)
	}
	names := slices.Clone(s.Names)
	slices.SortStableFunc(names, func(x, y *board.Name) int {
		return cmp.Compare(min(1, y.Waiting), min(1, x.Waiting)) // those with waiters are first
	})
	v.First = max(0, min(v.First, len(names)-rows))
	shown := names[v.First:min(len(names), v.First+rows)]
	c := columnsFor(v.Width)
	add(Heading, c.row("RECIPE", "NAME", "WAIT", "STATE"))
	for _, n := range shown {
		style := Plain
		if len(n.Broken) > 0 {
			style = Alarm
		}
		add(style, c.row(n.Recipe, n.Name, count(n.Waiting), state(n, v.Now)))
	}
	for range rows - len(shown) {
		add(Plain, "")
	}
	if sessions > 0 {
		add(Heading, sessionRow("LEFT", "HOLDS", "WAITS", "BLOCKS", "SESSION"))
		for _, one := range urgent(s.Sessions, v.Now)[:sessions] {
			style := Plain
			if one.Suspect {
				style = Alarm
			}
			add(style, sessionRow(margin(one, v.Now), count(one.Holds), count(one.Waits),
				count(one.Blocks), sessionName(one)))
		}
	}
	add(Plain, fmt.Sprintf("%s   names %d-%d of %d", help, min(v.First+1, len(names)),
		v.First+len(shown), len(names)))
	return lines[:min(len(lines), v.Height)]
}

func headline(s *board.Snapshot, v *View) string {
	waiting, suspect := 0, 0
	for _, n := range s.Names {
		waiting += n.Waiting
	}
	for _, one := range s.Sessions {
		if one.Suspect {
			suspect++
		}
	}
	return fmt.Sprintf("holdfast  %s  %d names  %d waiting  %d sessions, %d suspect  revision %d  %s",
		v.Now.Format(time.TimeOnly), len(s.Names), waiting, len(s.Sessions), suspect, s.Revision,
		v.Prefix)
}

// urgent returns the sessions in the order in which a reader should see them: suspect ones, then
// those for which most members wait.
func urgent(all []*board.Session, now time.Time) []*board.Session {
	out := slices.Clone(all)
	left := func(s *board.Session) time.Duration {
		d, ok := s.Margin(now)
		if !ok {
			return 1 << 62
		}
		return d
	}
	slices.SortStableFunc(out, func(x, y *board.Session) int {
		switch {
		case x.Suspect != y.Suspect && x.Suspect:
			return -1
		case x.Suspect != y.Suspect:
			return 1
		}
		return cmp.Or(cmp.Compare(y.Blocks, x.Blocks), cmp.Compare(y.Holds, x.Holds),
			cmp.Compare(left(x), left(y)))
	})
	return out
}
