package merge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// owner ends with its test.
type owner struct{ t *testing.T }

func (o owner) Context() context.Context { return o.t.Context() }

func (o owner) Background(run func(context.Context)) bool {
	go run(o.Context())
	return true
}

// TestMerger checks that jobs submitted while a request is in flight share the next one. A job
// whose caller leaves before it is sent is not sent. A caller that leaves after that gets
// ErrUncertain. A request is cancelled when all its callers have left.
func TestMerger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		var cancelled []int
		m := Batcher[int]{
			Owner: owner{t},
			Pick:  func(waiting []*Job[int]) int { return min(3, len(waiting)) },
			Send: func(ctx context.Context, jobs []*Job[int]) {
				var batch []int
				for _, j := range jobs {
					batch = append(batch, j.V)
				}
				batches = append(batches, batch)
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					cancelled = append(cancelled, batch...)
					for _, j := range jobs {
						j.Err = ctx.Err()
					}
				}
			},
		}
		do := func(v int, d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			err := m.Do(ctx, v)
			early, sent := d < time.Second, v%2 == 0
			if (err != nil) != early || early && (!errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, gateway.ErrUncertain) != sent) {
				t.Errorf("%d: %v", v, err)
			}
		}
		go do(0, time.Minute)
		synctest.Wait()
		go do(2, time.Minute)
		synctest.Wait()
		go do(1, 100*time.Millisecond) // leaves while it waits
		synctest.Wait()
		go do(4, time.Minute)
		synctest.Wait()
		go do(6, time.Minute)
		synctest.Wait()
		go do(8, time.Minute)
		synctest.Wait()
		time.Sleep(3500 * time.Millisecond)
		go do(10, 100*time.Millisecond) // alone in its request, which is cancelled
		time.Sleep(time.Second)
		go do(12, time.Minute)
		synctest.Wait()
		go do(14, time.Minute)
		// Ends while the job shares a request in flight.
		late, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := m.Do(late, 16); !errors.Is(err, gateway.ErrUncertain) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("16: %v", err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want := [][]int{{0}, {2, 4, 6}, {8}, {10}, {12}, {14, 16}}
		if len(batches) != len(want) || !slices.Equal(cancelled, []int{10}) {
			t.Errorf("sent %v, gave up %v", batches, cancelled)
		}
		for i := range want {
			if slices.Sort(batches[i]); !slices.Equal(batches[i], want[i]) {
				t.Errorf("sent %v", batches)
			}
		}
	})
}

// slow returns a Batcher whose requests take so long and have at most so many jobs. It appends the
// number of jobs of each request to sizes.
func slow(t *testing.T, took time.Duration, most int, sizes *[]int) *Batcher[int] {
	t.Helper()
	return &Batcher[int]{
		Owner: owner{t},
		Pick:  func(waiting []*Job[int]) int { return min(most, len(waiting)) },
		Send: func(_ context.Context, jobs []*Job[int]) {
			*sizes = append(*sizes, len(jobs))
			time.Sleep(took)
		},
	}
}

// loop starts a caller that submits a job in each round and works in between.
func loop(
	t *testing.T, m *Batcher[int], callers *sync.WaitGroup,
	rounds int, work func(round int) time.Duration,
) {
	t.Helper()
	callers.Go(func() {
		for k := range rounds {
			if err := m.Do(t.Context(), k); err != nil {
				t.Error(err)
			}
			time.Sleep(work(k))
		}
	})
	synctest.Wait()
}

// TestRegulars checks that callers that submit again soon after they are answered share each
// request, even if half of them started while the first request was in flight. Requests do not
// linger long for callers that submit later.
func TestRegulars(t *testing.T) {
	t.Parallel()
	const took, rounds = 10 * time.Millisecond, 10
	for _, c := range []struct {
		work        time.Duration // between an answer and the next job
		least, most int           // requests
	}{
		// A request that starts when none is in flight may have fewer jobs, but not the one after
		// it: two requests have at least 5.
		{time.Microsecond, rounds, 4*rounds*2/5 + 1},
		{900 * time.Microsecond, rounds, rounds + 2},
		{3 * time.Millisecond, 2*rounds - 1, 2 * rounds},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sizes []int
			m := slow(t, took, 9, &sizes)
			var callers sync.WaitGroup
			began := time.Now()
			for i := range 4 {
				if i == 2 {
					time.Sleep(took / 2)
				}
				loop(t, m, &callers, rounds, func(int) time.Duration { return c.work })
			}
			callers.Wait()
			if n := len(sizes); n < c.least || n > c.most {
				t.Errorf("%v: %d requests, of %d", c.work, n, sizes)
			}
			idle := time.Since(began) - time.Duration(len(sizes))*took
			if enough := time.Duration(len(sizes))*took/16 +
				2*patience + c.work; c.most == 2*rounds && idle > enough {
				t.Errorf("%v: nothing was under way for %v", c.work, idle)
			}
		})
	}
}

// TestFull checks that a full request does not linger.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const took, rounds = 4 * time.Millisecond, 20
		var sizes []int
		m := slow(t, took, 3, &sizes)
		var callers sync.WaitGroup
		began := time.Now()
		for range 9 {
			loop(t, m, &callers, rounds, func(int) time.Duration {
				return took/4 - time.Microsecond
			})
		}
		callers.Wait()
		if idle := time.Since(began) - time.Duration(len(sizes))*took; len(sizes) > 9*rounds/3+2 ||
			idle > took {
			t.Errorf("nothing was under way for %v; %d requests", idle, len(sizes))
		}
	})
}

// TestStrangers checks that a caller after two callers that do not submit again lingers for them
// only once.
func TestStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const took, rounds = 4 * time.Millisecond, 10
		var sizes []int
		m := slow(t, took, 9, &sizes)
		waited := time.Duration(0)
		for range rounds {
			two := []*Job[int]{m.submit(t.Context(), 0), m.submit(t.Context(), 1)}
			for _, j := range two {
				if err := m.wait(t.Context(), j); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			began := time.Now()
			if err := m.Do(t.Context(), 2); err != nil {
				t.Error(err)
			}
			waited += time.Since(began) - took
			time.Sleep(time.Second)
		}
		if waited > took/4 {
			t.Errorf("waited for %v", waited)
		}
	})
}

// TestHiccup checks that requests linger for regular callers again, some time after one caller was
// late.
func TestHiccup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const took, rounds = 10 * time.Millisecond, 100
		var sizes []int
		m := slow(t, took, 9, &sizes)
		var callers sync.WaitGroup
		for i := range 4 {
			loop(t, m, &callers, rounds, func(k int) time.Duration {
				if i == 0 && k == 3 {
					return took / 3
				}
				return took / 11 // more than a sixteenth, less than patience
			})
		}
		callers.Wait()
		if len(sizes) > rounds+2*probe {
			t.Errorf("%d requests, of %d", len(sizes), sizes)
		}
	})
}
