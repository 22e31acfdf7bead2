package barrier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrConfigMismatch is the error of a handle that takes the name for another kind of barrier, or for another number, than those
// who have used it before.
var ErrConfigMismatch = errors.New("declared otherwise")

// place is a line with a declaration beside it of what it is for. The first write to it is the declaration.
type place struct {
	line line.Line
	kind string
	n    int
	most int
}

const partiesSetting = "parties"

// kinds are those that are declared.
var kinds = []string{"double", "cyclic", "latch"}

func newPlace(s *session.Session, name, kind string, n, most int) place {
	everybody := func(v line.Snapshot) int { return len(v.Members) }
	return place{line.Line{Session: core.Of(s), Name: name, Kind: "barrier", Rule: everybody}, kind, n, most}
}

func (p *place) parties() string { return fmt.Sprintf("%s %d", p.kind, p.n) }

// check looks at what can be checked here, and waits while the session is suspect.
func (p *place) check(ctx context.Context) error {
	if p.n < 1 || p.n > p.most {
		return fmt.Errorf("%w: %d is not between 1 and %d", gateway.ErrInvalid, p.n, p.most)
	}
	return p.line.Check(ctx)
}

// declared holds where the place is what the handle takes it for. found is read where it does not hold.
func (p *place) declared() (_ gateway.Cmp, found gateway.Op) {
	key := p.line.SettingKey(partiesSetting)
	return gateway.CmpValue(key, gateway.Equal, []byte(p.parties())), gateway.OpGet(key)
}

// declare compares the declaration that was found with the handle, or writes one where there was none. Whoever did not find
// it as it should be goes again.
func (p *place) declare(ctx context.Context, found gateway.OpResponse) error {
	if kvs := found.Get.KVs; len(kvs) > 0 {
		return p.matches(string(kvs[0].Value))
	}
	key := p.line.SettingKey(partiesSetting)
	_, err := p.line.Session.Write(ctx, core.Write{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(key, []byte(p.parties()))},
	})
	return err
}

// agrees is declare for those who only look.
func (p *place) agrees(v line.Snapshot) error {
	parties, ok := v.Settings[partiesSetting]
	if !ok {
		return nil
	}
	return p.matches(parties)
}

// matches compares a declaration that was found with the handle.
func (p *place) matches(parties string) error {
	kind, number, _ := strings.Cut(parties, " ")
	n, err := strconv.Atoi(number)
	switch {
	case parties == p.parties():
		return nil
	case err != nil || n < 1 || !slices.Contains(kinds, kind):
		return fmt.Errorf("%w: %w", ErrConfigMismatch, p.line.Corrupt(partiesSetting, parties))
	}
	return fmt.Errorf("%w: %s is %q, not %q", ErrConfigMismatch, p.line.SettingKey(partiesSetting), parties, p.parties())
}

// look reads the place as it is now.
func (p *place) look(ctx context.Context) (line.Snapshot, error) {
	if err := p.check(ctx); err != nil {
		return line.Snapshot{}, err
	}
	v, err := p.line.Now(ctx)
	if err != nil {
		return v, err
	}
	return v, p.agrees(v)
}

// wrap is nil for nil.
func (p *place) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("barrier: %s %q: %w", verb, p.line.Name, err)
}
