package barrier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrConfigMismatch is returned when the name was declared as another kind of barrier, or for
// another number.
var ErrConfigMismatch = errors.New("declared otherwise")

// place is a line with a key beside it that declares the kind and number of a barrier. The first
// write to it is the declaration.
type place struct {
	line line.Line
	kind string
	n    int
}

const partiesSetting = "parties"

// The kinds of barriers. All but the simple one write a declaration.
const (
	simple = "simple"
	double = "double"
	cyclic = "cyclic"
	latch  = "latch"
)

func newPlace(s *session.Session, name, kind string, n int) place {
	l := line.Line{Session: core.Of(s), Name: name, Kind: "barrier", Rule: everybody}
	return place{l, kind, n}
}

func everybody(v line.Snapshot) int { return len(v.Members) }

func (p *place) parties() string { return fmt.Sprintf("%s %d", p.kind, p.n) }

// check checks the number and the name, and waits while the session is suspect.
func (p *place) check(ctx context.Context) error {
	if err := p.checkNumber(); err != nil {
		return err
	}
	return p.line.Check(ctx)
}

func (p *place) checkNumber() error {
	most := MaxParties
	if p.kind == latch {
		most = math.MaxInt
	}
	if p.n < 1 || p.n > most {
		return fmt.Errorf("%w: %d is not between 1 and %d", gateway.ErrInvalid, p.n, most)
	}
	return nil
}

// declared returns a compare that holds if the declaration is this one, and a read of it for when
// it does not.
func (p *place) declared() ([]gateway.Cmp, []gateway.Op) {
	key := p.line.SettingKey(partiesSetting)
	return []gateway.Cmp{gateway.CmpValue(key, gateway.Equal, []byte(p.parties()))},
		[]gateway.Op{gateway.OpGet(key)}
}

// declare compares the declaration that was found with this one, or writes this one if there was
// none. If it returns nil the caller tries again.
func (p *place) declare(ctx context.Context, found []gateway.OpResponse) error {
	if kvs := found[0].Get.KVs; len(kvs) > 0 {
		return p.matches(string(kvs[0].Value))
	}
	key := p.line.SettingKey(partiesSetting)
	_, err := p.line.Session.Write(ctx, core.Write{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(key, []byte(p.parties()))},
	})
	return err
}

// agrees is declare for calls that only read: no declaration is not an error.
func (p *place) agrees(v line.Snapshot) error {
	parties, ok := v.Settings[partiesSetting]
	if !ok {
		return nil
	}
	return p.matches(parties)
}

// matches compares a declaration that was found with this one.
func (p *place) matches(parties string) error {
	kind, number, _ := strings.Cut(parties, " ")
	n, err := strconv.Atoi(number)
	switch {
	case parties == p.parties():
		return nil
	case err != nil || n < 1 || !slices.Contains([]string{double, cyclic, latch}, kind):
		return fmt.Errorf("%w: %w", ErrConfigMismatch, p.line.Corrupt(partiesSetting, parties))
	}
	key := p.line.SettingKey(partiesSetting)
	return fmt.Errorf("%w: %s is %q, not %q", ErrConfigMismatch, key, parties, p.parties())
}

// look reads the line and checks its declaration.
func (p *place) look(ctx context.Context, from reader) (line.Snapshot, error) {
	if err := p.checkNumber(); err != nil {
		return line.Snapshot{}, err
	}
	v, err := from.Now(ctx)
	if err != nil {
		return v, err
	}
	return v, p.agrees(v)
}
