// Package limit limits how often something is done by all processes together, and counts: a rate
// limiter, a counter, and a source of unique numbers.
//
// # Usage
//
//	l := limit.New(s, "api", limit.Rate{Tokens: 100, Per: time.Second, Burst: 20}, nil)
//	defer l.Close(ctx)
//	if err := l.Wait(ctx, 1); err != nil {
//		return err
//	}
//
// One [Limiter] serves all goroutines of a process. All processes must use the same [Rate].
//
// # Guarantees
//
// All processes together take at most [Rate.Burst] tokens, and Tokens more for each Per. A process
// takes a block of tokens ahead, and then needs no request until the block is used. [Limiter.Close]
// gives the rest back. Tokens that are not used within the time in which the bucket fills are lost,
// as they are in the bucket. If a process dies, its block goes back when its session's lease ends,
// with the tokens that it had used: the limit is exceeded by one [Options.Block] at most. A rest
// that goes back may be used together with later tokens, so that a short interval may exceed the
// limit by one block for each process.
//
// With [Options.Strict], no token is taken before a call wants it, and no token goes back: no
// interval exceeds the limit. Calls that come together share a request.
//
// [Counter.Add] is applied exactly once. Numbers of [IDs] are unique for a name.
//
// # Limitations
//
// Tokens come with time, and a process takes the time of its own clock. The clock that is ahead of
// all others counts: it can add tokens for the difference, once, up to a burst, and processes whose
// clocks are behind it have to wait for longer. A process that is paused between the check of its
// session and the work that it has a token for works late.
//
// Processes that use one name with different rates are not detected, because etcd stores the time
// at which the bucket is empty and not the rate: each process adds tokens at its own rate. Use
// another name for another rate.
//
// The numbers of a block that a process does not use are left out, and numbers of different
// processes are not in the order of time.
//
// # Concurrency
//
// All types are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name, rate, number or options that cannot be used, and
// when the tokens of the next 20 years are reserved, the context's error when ctx ends first, with
// [gateway.ErrUncertain] if a write was under way, [session.ErrLost] after the session has ended,
// and [session.ErrCorrupt] when this library did not write the value. Check for ErrUncertain first:
// tokens and numbers are lost then, and an Add may have been applied.
//
// # Keys
//
//	<name>/<lease hex>  the size of the block of a limiter, under the session's lease
//	<name>//bucket      as JSON, when the bucket is empty, and the tokens in blocks
//	<name>//counter     a counter, as text
//	<name>//next        the next of the IDs, as text
//
// # Source
//
// The bucket is the generic cell rate algorithm, which keeps one time. The methods are like those
// in golang.org/x/time/rate.
package limit
