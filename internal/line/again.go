package line

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Again paces a loop that repeats because the settings of a line differ from the ones it needs. The
// first repetitions have no pause, because declaring settings takes them. More repetitions mean
// that another program keeps changing the settings. An Again is not safe for concurrent use.
type Again struct {
	tries int
	pause time.Duration
}

// Wait returns nil when the loop may repeat. Returns ctx's error when ctx ends first.
func (a *Again) Wait(ctx context.Context) error {
	if a.tries++; a.tries <= freeRepeats {
		return nil
	}
	a.pause = min(max(2*a.pause, minRepeatPause), maxRepeatPause)
	t := time.NewTimer(a.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// Corrupt returns a [core.ErrCorrupt] for a setting with a value that this library does not write.
func (l *Line) Corrupt(what, value string) error {
	return CorruptKey(gateway.KeyValue{Key: l.SettingKey(what), Value: []byte(value)})
}

// CorruptKey returns a [core.ErrCorrupt] for a key with a value that this library does not write.
func CorruptKey(kv gateway.KeyValue) error {
	const most = 64
	value := string(kv.Value)
	if len(value) > most {
		value = value[:most] + "…"
	}
	return fmt.Errorf("%w: %s holds %q", core.ErrCorrupt, kv.Key, value)
}
