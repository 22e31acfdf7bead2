package gateway

import (
	"context"
	"time"
)

// nudgeEvery is the time between two newlines of [conn.nudge].
const nudgeEvery = 50 * time.Millisecond

// nudge sends newlines on a shared stream until its answer begins. JSON ignores them. When a
// connection breaks before that, the transport reports it only after its next read of the body,
// which would be the next create, or never.
func (cn *conn) nudge() (answered func()) {
	if cn.mode != shared {
		return func() {}
	}
	ctx, answered := context.WithCancel(cn.ctx)
	cn.m.h.c.spawn(func() {
		for sleep(ctx, nudgeEvery) {
			cn.out.write([]byte{'\n'})
		}
	})
	return answered
}
