package core

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// tickEvery is the longest pause between two looks at the clock, because a timer stops while the
// machine sleeps.
const tickEvery = time.Second

// tickers look at the clock for the sessions of each client, with one timer for a client. A timer
// for each session would wake up the process as often as it has sessions.
type tickers struct {
	mu sync.Mutex
	of map[*gateway.Client]*ticker
}

type ticker struct {
	timer    *time.Timer
	sessions map[*Session]struct{}
}

var ticking tickers

// add has a session look at the clock every tickEvery until it is removed.
func (t *tickers) add(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.of[s.c]
	if k == nil {
		k = &ticker{sessions: map[*Session]struct{}{}}
		k.timer = time.AfterFunc(tickEvery, func() { t.tick(s.c, k) })
		if t.of == nil {
			t.of = map[*gateway.Client]*ticker{}
		}
		t.of[s.c] = k
	}
	k.sessions[s] = struct{}{}
}

// remove does nothing if the session is not ticked any more. A tick may be in flight when it
// returns.
func (t *tickers) remove(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.of[s.c]
	if k == nil {
		return
	}
	delete(k.sessions, s)
	if len(k.sessions) == 0 {
		k.timer.Stop()
		delete(t.of, s.c)
	}
}

func (t *tickers) tick(c *gateway.Client, k *ticker) {
	t.mu.Lock()
	if t.of[c] != k { // the last session was removed
		t.mu.Unlock()
		return
	}
	k.timer.Reset(tickEvery)
	all := slices.Collect(maps.Keys(k.sessions))
	t.mu.Unlock()
	for _, s := range all {
		s.tick()
	}
}
