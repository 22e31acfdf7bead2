package line

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Again paces a loop that goes again because it has found the settings of a line otherwise than it needs them. The first
// repetitions are how settings are declared, and cost no pause. Further ones mean that some program keeps changing them.
type Again struct {
	tries int
	pause time.Duration
}

const (
	againFree = 2
	againMin  = 10 * time.Millisecond
	againMax  = time.Second
)

// Wait returns when the loop may go again, or the error of ctx.
func (a *Again) Wait(ctx context.Context) error {
	if a.tries++; a.tries <= againFree {
		return nil
	}
	a.pause = min(max(2*a.pause, againMin), againMax)
	t := time.NewTimer(a.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// Corrupt is the error of a setting whose value this library does not write.
func (l *Line) Corrupt(what, value string) error {
	return CorruptKey(gateway.KeyValue{Key: l.SettingKey(what), Value: []byte(value)})
}

// CorruptKey is the error of a key whose value this library does not write.
func CorruptKey(kv gateway.KeyValue) error {
	const most = 64
	value := string(kv.Value)
	if len(value) > most {
		value = value[:most] + "…"
	}
	return fmt.Errorf("%w: %s holds %q", core.ErrCorrupt, kv.Key, value)
}
