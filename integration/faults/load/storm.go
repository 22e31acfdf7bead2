package load

import (
	"runtime"
	"time"
)

// Storm keeps the scheduler of the party's process busy in bursts until the end of the load. It
// uses most of a processor, so it is to begin with the fault: the load before it has to be large.
func (p *Party) Storm() {
	w := &worker{Party: p, ctx: p.work}
	for range 4 {
		p.done.Go(w.storms)
	}
}

func (w *worker) storms() {
	for w.rest(200 * time.Millisecond) {
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
			runtime.Gosched()
		}
	}
}
