package barrier

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrMismatch is the error of a handle that takes the name for another kind of barrier, or for another number, than those
// who have used it before.
var ErrMismatch = errors.New("declared otherwise")

// place is a line with a declaration beside it of what it is for. The first write to it is the declaration.
type place struct {
	line line.Line
	kind string
	n    int
}

const partiesSetting = "parties"

func newPlace(s *session.Session, name, kind string, n int) place {
	everybody := func(v line.View) int { return len(v.Members) }
	return place{line.Line{Session: s, Name: name, Rule: everybody}, kind, n}
}

func (p *place) parties() string { return fmt.Sprintf("%s %d", p.kind, p.n) }

// check looks at what can be checked here, and waits while the session is suspect.
func (p *place) check(ctx context.Context, most int) error {
	if err := p.line.Session.CheckName(p.line.Name); err != nil {
		return err
	}
	if p.n < 1 || p.n > most {
		return fmt.Errorf("%w: %d is not between 1 and %d", gateway.ErrInvalid, p.n, most)
	}
	return p.line.Session.Ready(ctx)
}

// declared is a compare that holds where the place is what the handle takes it for.
func (p *place) declared() gateway.Cmp {
	return gateway.Value(p.line.SettingKey(partiesSetting), gateway.Equal, []byte(p.parties()))
}

// matches compares what the place was declared to be with the handle. It is declared now if it was not.
func (p *place) matches(ctx context.Context, parties string) error {
	if parties != "" {
		return p.agrees(parties)
	}
	key := p.line.SettingKey(partiesSetting)
	_, err := p.line.Session.Write(ctx, session.Write{
		If:   []gateway.Cmp{gateway.CreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(key, []byte(p.parties()))},
	})
	return err
}

// agrees is matches for those who only look.
func (p *place) agrees(parties string) error {
	if parties != "" && parties != p.parties() {
		return fmt.Errorf("%w: it is %q, not %q", ErrMismatch, parties, p.parties())
	}
	return nil
}

// read reads the line, at most until the session ends.
func (p *place) read(ctx context.Context) (line.View, error) {
	s := p.line.Session
	if err := s.Err(); err != nil {
		return line.View{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })() //nolint:contextcheck // it only reads why the session ended
	v, err := p.line.Read(ctx)
	if lost := s.Err(); err != nil && lost != nil {
		err = lost
	}
	return v, err
}

// next waits until the line has changed after a revision.
func (p *place) next(ctx context.Context, since int64) (v line.View, err error) {
	for v, err = range p.line.Follow(ctx) {
		if err != nil || v.Revision > since {
			break
		}
	}
	return v, err
}

func (p *place) wrap(verb string, err error) error {
	return fmt.Errorf("barrier: %s %q: %w", verb, p.line.Name, err)
}
