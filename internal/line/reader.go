package line

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Reader reads a line without a session. It shares the mirror of its client with the lines of the
// same kind and name. It is immutable and starts nothing by itself.
type Reader struct {
	Client *gateway.Client
	Name   string
	Kind   string
	Rule   Rule
	// RecordPrefix is the prefix of the session records, among which no name may lie.
	RecordPrefix string
}

// reader returns a reader of the line that does not end with the session.
func (l *Line) reader() *Reader {
	return &Reader{Client: l.Session.Client(), Name: l.Name, Kind: l.Kind, Rule: l.Rule}
}

func (r *Reader) prefix() string { return r.Name + "/" }

func (r *Reader) check() error {
	if r.Client == nil {
		return fmt.Errorf("%w: no client", gateway.ErrInvalid)
	}
	if err := core.CheckName(r.Name, r.RecordPrefix); err != nil {
		return err
	}
	return checkReserved(r.Name)
}

// checkReserved returns [gateway.ErrInvalid] for a name among the keys of the lines themselves.
func checkReserved(name string) error {
	for _, reserved := range []string{delayPrefix, core.BrokenPrefix} {
		if strings.HasPrefix(name+"/", reserved) {
			return fmt.Errorf("%w: the name lies among the keys %s", gateway.ErrInvalid, reserved)
		}
	}
	return nil
}

// Now returns the line as it is now, from a linearizable read. Returns [gateway.ErrInvalid] when
// the name is not allowed or there is no client, and else the error of the request.
func (r *Reader) Now(ctx context.Context) (Snapshot, error) {
	if err := r.check(); err != nil {
		return Snapshot{}, err
	}
	return r.read(ctx)
}

func (r *Reader) read(ctx context.Context) (Snapshot, error) {
	resp, err := r.Client.Get(ctx, r.prefix(), gateway.Prefix())
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(resp, r.prefix()), nil
}

// Until is [Line.Until] without a session.
func (r *Reader) Until(ctx context.Context, done func(Snapshot) (bool, error)) error {
	if err := r.check(); err != nil {
		return err
	}
	return until(r.follow(ctx), done)
}

func until(states iter.Seq2[Snapshot, error], done func(Snapshot) (bool, error)) error {
	for v, err := range states {
		if err != nil {
			return err
		}
		if ok, err := done(v); ok || err != nil {
			return err
		}
	}
	return nil
}

// follow yields the line, and again after each change, until ctx ends. See [Line.Follow].
func (r *Reader) follow(ctx context.Context) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		m := r.acquireMirror()
		defer m.release()
		wake := m.addReader()
		defer m.removeReader(wake)
		shown := int64(-1)
		for {
			if err := m.Sync(ctx); err != nil {
				yield(Snapshot{}, err)
				return
			}
			if v, ok := m.copy(); ok && v.Revision > shown {
				shown = v.Revision
				if !yield(v, nil) {
					return
				}
				continue // the line may have changed during the yield
			}
			select {
			case <-wake:
			case <-ctx.Done():
				yield(Snapshot{}, ctxerr.Of(ctx))
				return
			}
		}
	}
}
