package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func whyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME",
		Short: "Show why calls at a name wait",
		Long: "Show the events for which a new call at a name would wait: one a line, or\n" +
			"\"free\"." +
			exitStatus("1 if nobody uses the name"),
		Example: "  holdfast why jobs/nightly",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.place(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(p.Members)+len(p.Settings) == 0 {
				return nof("nobody uses %q", args[0])
			}
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				e, err := explainer(s, p).Explain(ctx)
				if err != nil {
					return err
				}
				correct(p, e)
				return a.showWhy(p, e)
			})
		},
	}
}

type explains interface {
	Explain(ctx context.Context) (*session.Explanation, error)
}

// explainer returns the recipe of a name.
func explainer(s *session.Session, p *inspect.Place) explains {
	kind, number, _ := strings.Cut(p.Settings["parties"], " ")
	n, _ := strconv.Atoi(number) // Explain returns the error of a corrupt setting
	limit, _ := strconv.Atoi(p.Settings["limit"])
	switch {
	case p.Recipe == inspect.Queue:
		return queue.New(s, p.Name, nil)
	case p.Recipe == inspect.Semaphore:
		return semaphore.New(s, p.Name, limit, nil)
	case p.Recipe == inspect.Election:
		return election.New(s, p.Name, nil)
	case p.Recipe == inspect.Latch:
		return barrier.NewLatch(s, p.Name, n)
	case p.Recipe == inspect.Barrier && kind == "cyclic":
		return barrier.NewCyclic(s, p.Name, n)
	case p.Recipe == inspect.Barrier && kind != "":
		return barrier.NewDouble(s, p.Name, n)
	case p.Recipe == inspect.Barrier:
		return barrier.New(s, p.Name)
	}
	return mutex.New(s, p.Name, nil)
}

// correct changes the explanation of a lock for the recipes in which settings, and not only
// members, decide whether a call waits.
func correct(p *inspect.Place, e *session.Explanation) {
	switch p.Recipe {
	case inspect.Cron:
		var pause struct {
			By     string    `json:"by"`
			Why    string    `json:"why"`
			At     time.Time `json:"at"`
			Paused bool      `json:"paused"`
		}
		text, set := p.Settings["pause"]
		switch err := json.Unmarshal([]byte(text), &pause); {
		case set && err != nil:
			e.Needs = append(e.Needs, p.Name+"//pause is corrupt: nothing starts")
		case pause.Paused:
			e.Needs = append(e.Needs, fmt.Sprintf("the schedule has to be resumed: %s paused it at %s: %s",
				pause.By, stamp(pause.At), pause.Why))
		}
	case inspect.Limiter:
		// The members are blocks of tokens, for which no call waits. The rate is not in etcd.
		var bucket struct {
			Empty int64 `json:"empty"`
		}
		e.Holders, e.Ahead = nil, 0
		e.Needs = []string{p.Name + "//bucket is corrupt: calls fail"}
		if json.Unmarshal([]byte(p.Settings["bucket"]), &bucket) == nil {
			e.Needs[0] = "a token has to be there: none is left at " +
				stamp(time.Unix(0, bucket.Empty)) + ", after which the caller's rate adds them"
		}
	}
}

func (a *app) showWhy(p *inspect.Place, e *session.Explanation) error {
	holders := []map[string]any{}
	for _, h := range e.Holders {
		one := map[string]any{"key": h.Key, "fence": h.Fence, "suspect": h.Suspect}
		if h.Detached {
			one["detached"] = true
		}
		if h.Lease != 0 {
			one["lease"] = h.Lease.String()
			one["ttl"], one["left"] = h.TTL.Seconds(), h.Left.Seconds()
		}
		if h.Session != nil {
			one["session"] = h.Session
		}
		holders = append(holders, one)
	}
	lines := make([]string, len(e.Needs))
	for i, need := range e.Needs {
		lines[i] = clean(need)
	}
	if len(lines) == 0 {
		lines = []string{"free"}
	}
	return a.print(map[string]any{
		"recipe": p.Recipe, "name": p.Name, "revision": e.Revision, "ahead": e.Ahead,
		"holders": holders, "needs": append([]string{}, e.Needs...),
	}, strings.Join(lines, "\n"))
}
