package limit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/stm"
)

// askEvery is the pause of a process between two requests after it has emptied the bucket.
// After a longer one, other processes may have given tokens back.
const askEvery = 100 * time.Millisecond

// creditEvery is the longest pause between two reads of all blocks while the bucket is empty.
const creditEvery = time.Second

// errDenied ends a transaction that would take tokens which are not available.
var errDenied = errors.New("denied")

// taken is the outcome of a take.
type taken struct {
	ok   bool   // the tokens were taken
	at   int64  // the time from which they may be used
	from *block // of which they are a part
	end  int64  // the tokens of the block that were used then
}

// take takes n tokens of the block, which it replaces if it is used up. With debt, it takes tokens
// that are available later.
func (l *Limiter) take(ctx context.Context, n int64, debt bool) (taken, error) {
	switch {
	case l.bad != nil:
		return taken{}, l.bad
	case n <= 0 || n > l.rate.Burst:
		return taken{}, fmt.Errorf("%w: %d tokens; the burst is %d",
			gateway.ErrInvalid, n, l.rate.Burst)
	}
	if t, decided, err := l.local(n, debt); decided {
		return t, err
	}
	l.demand.Add(n)
	defer l.demand.Add(-n)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return taken{}, ctxerr.Of(ctx)
	}
	if t, decided, err := l.local(n, debt); decided { // by another call's request
		return t, err
	}
	t, err := l.ask(ctx, n, debt)
	if errors.Is(err, errDenied) {
		return taken{}, nil
	}
	return t, err
}

// local takes n tokens of the block. It is undecided if etcd must be asked.
func (l *Limiter) local(n int64, debt bool) (_ taken, decided bool, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return taken{}, true, ErrClosed
	}
	if err := l.s.Err(); err != nil { // the tokens may have gone back
		return taken{}, true, err
	}
	l.block.expire(l.rate, now())
	if l.block.left() >= n {
		if l.rate.at(l.block, n) > now() && !debt {
			return taken{}, true, nil
		}
		return l.use(n), true, nil
	}
	return taken{}, !debt && now() < l.deniedUntil, nil
}

// use takes n tokens of the block, which has them. mu must be held.
func (l *Limiter) use(n int64) taken {
	b := l.block
	at := l.rate.at(b, n)
	b.used += n
	return taken{true, at, b, b.used}
}

// ask replaces the block by one of at least n tokens, and takes these. Returns errDenied when they
// are not available and debt is false. turn must be held.
func (l *Limiter) ask(ctx context.Context, n int64, debt bool) (t taken, err error) {
	if l.key == "" && !l.opt.Strict {
		l.key, _, l.free = core.Of(l.s).ReserveKey(l.name)
	}
	old := l.takeOut() // its rest goes back, because n is more
	rest := old.left()
	var got block
	empty, until := false, int64(0)
	_, err = stm.Do(ctx, l.s, func(tx *stm.Tx) error {
		b, own, err := l.read(tx)
		if err != nil {
			return err
		}
		b.Empty -= l.rate.span(min(rest, own))
		b.Out -= own
		b.fill(l.rate, now())
		available := l.rate.count(now() - b.Empty)
		if available < n && !l.opt.Strict {
			if err := l.credit(ctx, &b); err != nil {
				return err
			}
			available = l.rate.count(now() - b.Empty)
		}
		if available < n && !debt {
			until = b.Empty + l.rate.span(n)
			return errDenied
		}
		if b.Empty > now()+int64(maxSpan) { // only with debt; the sum must not overflow
			return fmt.Errorf("%w: the tokens of %v are reserved", gateway.ErrInvalid, maxSpan)
		}
		got = block{b.Empty, max(n, min(available, l.wanted())), 0}
		if debt { // so that calls that wait together, or one after the other, share a request
			got.size = max(got.size, min(l.growth(), l.rate.Burst))
		}
		empty = got.size >= available
		b.Empty += l.rate.span(got.size)
		return l.write(tx, b, got.size)
	}, &stm.Options{Prefetch: l.keys()})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.asked, l.size = now(), got.size
		if empty && !l.opt.Strict {
			l.deny(now() + int64(askEvery))
		}
		l.block = &got
		return l.use(n), l.s.Err() // the block may have gone back
	case errors.Is(err, errDenied):
		l.deny(until)
		l.block = old
	case !errors.Is(err, gateway.ErrUncertain): // else the rest may have gone back
		l.block = old
	}
	return t, err
}

// takeOut returns the block, which no call can use until it is put back: if its rest goes back,
// other processes use its tokens.
func (l *Limiter) takeOut() *block {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.block
	b.expire(l.rate, now())
	l.block = &block{}
	return b
}

// wanted is the number of tokens to take if they are available.
func (l *Limiter) wanted() int64 {
	if l.opt.Strict {
		return l.demand.Load()
	}
	return max(l.demand.Load(), l.opt.Block)
}

// growth is the number of tokens to take ahead although they come later. It grows while the calls
// of the process use all of its tokens, because tokens that are reserved delay other processes.
func (l *Limiter) growth() int64 {
	n := l.demand.Load()
	if !l.opt.Strict && now()-l.asked < int64(askEvery) {
		n = max(n, min(2*l.size, l.opt.Block))
	}
	return n
}

// deny lets calls be denied without a request for a while. mu must be held.
func (l *Limiter) deny(until int64) { l.deniedUntil = min(until, now()+int64(askEvery)) }

// giveBack gives the rest of the block back. turn must be held.
func (l *Limiter) giveBack(ctx context.Context) error {
	rest := l.takeOut().left()
	if l.key == "" {
		return nil
	}
	_, err := stm.Do(ctx, l.s, func(tx *stm.Tx) error {
		b, own, err := l.read(tx)
		if err != nil {
			return err
		}
		b.Empty -= l.rate.span(min(rest, own))
		b.Out -= own
		tx.Delete(l.key)
		return l.writeBucket(tx, b)
	}, &stm.Options{Prefetch: l.keys()})
	if err == nil {
		l.free()
		l.key = ""
	}
	return err
}
