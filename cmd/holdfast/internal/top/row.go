package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

// columns are the widths of the table of names. The last column has the rest.
type columns struct{ recipe, name, wait int }

func columnsFor(width int) columns {
	return columns{recipe: 10, name: max(12, min(60, width/3)), wait: 5}
}

func (c columns) row(recipe, name, wait, state string) string {
	return pad(clean(recipe), c.recipe) + pad(clean(name), c.name) +
		rightAlign(wait, c.wait-1) + "  " + clean(state)
}

func sessionRow(margin, holds, waits, blocks, owner string) string {
	return rightAlign(margin, 8) + rightAlign(holds, 7) + rightAlign(waits, 7) +
		rightAlign(blocks, 8) + "  " + clean(owner)
}

// state describes a name in a few words.
func state(n *board.Name, now time.Time) string {
	var text string
	switch {
	case n.Queue != nil:
		q := n.Queue
		text = fmt.Sprintf("%d ready, %d claimed, %d delayed, %d dead", q.Ready, q.Claimed,
			q.Delayed, q.Dead)
		if n.Paused() {
			text = "paused; " + text
		}
	case n.Cron != nil:
		text = cronState(n.Cron, now)
	case n.Group != nil:
		text = groupState(n.Group)
	case n.Recipe == inspect.Semaphore:
		text = fmt.Sprintf("%s %d of %d", bar(n.Used, n.Size), n.Used, n.Size)
	case n.Holding > 0:
		text = holders(n, now)
	case n.Recipe == inspect.Barrier && n.Up():
		text = "up"
	case n.Waiting == 0:
		text = "free"
	}
	if k := len(n.Broken); k > 0 {
		text = "broken: " + n.Broken[k-1].Reason + "; " + text
	}
	return text
}

func holders(n *board.Name, now time.Time) string {
	for i := range n.Members {
		m := &n.Members[i]
		if !m.Holds {
			continue
		}
		text := board.Owner(m)
		if !m.Since.IsZero() {
			text = age(now, m.Since) + " " + text
		}
		if n.Holding > 1 {
			text += fmt.Sprintf(" and %d more", n.Holding-1)
		}
		return text
	}
	return ""
}

func cronState(c *board.CronInfo, now time.Time) string {
	switch {
	case c.Running != nil:
		return "runs the tick of " + c.Running.Scheduled.Local().Format(time.DateTime)
	case c.Paused:
		return "paused; " + c.Spec
	case c.Last.IsZero():
		return "no tick yet; " + c.Spec
	}
	return "last tick " + age(now, c.Last) + " ago; " + c.Spec
}

func groupState(g *board.GroupInfo) string {
	text := fmt.Sprintf("%d members", len(g.Members))
	if len(g.Shards) == 0 {
		return text
	}
	owned := 0
	for _, s := range g.Shards {
		if s.Owner != "" {
			owned++
		}
	}
	return fmt.Sprintf("%s, %d of %d shards have an owner, led by %s", text, owned, len(g.Shards),
		g.Leader)
}

const barWidth = 10

// bar returns a bar of ten characters.
func bar(used, size int) string {
	n := 0
	if size > 0 {
		n = max(0, min(barWidth, used*barWidth/size))
	}
	return "[" + strings.Repeat("#", n) + strings.Repeat(".", barWidth-n) + "]"
}

func sessionName(s *board.Session) string {
	text := "lease " + s.Lease.String()
	if s.Info != nil {
		text = s.Info.String()
	}
	if s.Suspect {
		text = "suspect: " + text
	}
	return text
}

func margin(s *board.Session, now time.Time) string {
	left, ok := s.Margin(now)
	if !ok {
		return "-"
	}
	return strconv.Itoa(int(left.Round(time.Second).Seconds())) + "s"
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// age returns the time from since to now with at most two units.
func age(now, since time.Time) string {
	d := max(0, now.Sub(since))
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return strconv.Itoa(int(d.Hours())/24) + "d"
}
