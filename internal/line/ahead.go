package line

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// errFirst is returned for a member that is the first that waits.
var errFirst = errors.New("the first that waits")

// undecided returns the line without the members behind a member, see readAround, and its
// predecessor if that waits and will note its admission, or has to leave before this member's
// turn. joined is the answer to the join if that was just before, and else nil. atFront is as
// for readAround. Returns nil when the rule admits the member, errFirst when it is the first
// that waits, errNear when it has to follow the whole line, and errRemoved when it is not in the
// line. A member that must yield is the first that waits also when the rule admits it.
func (l *Line) undecided(
	ctx context.Context, j Join, me Member, joined *joinAnswer, atFront bool,
) (v Snapshot, before *Member, err error) {
	if joined != nil && !joined.veryFarBack() {
		v, err = l.readAhead(ctx, me)
	} else {
		v, err = l.readAround(ctx, j, me, atFront)
	}
	if err != nil {
		return v, nil, err
	}
	last := len(v.Members) - 1
	if last < 0 || !v.Members[last].is(me) {
		return v, nil, errRemoved
	}
	if last > 0 {
		before = &v.Members[last-1]
	}
	switch admitted := l.Rule(v); {
	case j.Yield && len(v.Settings) > 0: // Abort has to see those behind
		return v, nil, errNear
	case j.Yield && admitted >= last:
		return v, before, errFirst
	case admitted > last:
		return v, nil, nil
	case before == nil: // the settings do not admit this member
		return v, nil, errFirst
	case !j.Yield && !bothFit(l.Rule, v.Settings, *before, me):
		return v, before, nil
	case admitted == last:
		return v, before, errFirst
	}
	for _, put := range v.Puts {
		if put.Revision > before.Fence { // it may be admitted although the rule would not do it now
			return v, before, errFirst
		}
	}
	return v, before, nil
}

// bothFit reports whether the rule admits two members that are alone. If it does not, it admits the
// second in no line in which the first is ahead of it.
func bothFit(rule Rule, settings map[string]string, first, second Member) bool {
	return rule(Snapshot{Settings: settings, Members: []Member{first, second}}) > 1
}

// readAhead returns the line without the members behind a member.
func (l *Line) readAhead(ctx context.Context, me Member) (Snapshot, error) {
	read, err := l.getAhead(ctx, me)
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(read, l.prefix()), nil
}

// getAhead reads a member, the members ahead of it, and the settings.
func (l *Line) getAhead(ctx context.Context, me Member) (*gateway.GetResponse, error) {
	resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.MaxCreateRevision(me.Fence)),
		gateway.OpGet(l.SettingKey(""), gateway.Prefix()),
	}})
	if err != nil {
		return nil, err
	}
	read := &gateway.GetResponse{Header: resp.Header}
	for _, r := range resp.Responses {
		read.KVs = append(read.KVs, r.Get.KVs...)
	}
	return read, nil
}

// waitFirst returns when the rule admits a member, of which it follows only the deletions of those
// ahead, and the settings. The events of two watches may arrive out of order, so the member is
// admitted only by a read.
func (l *Line) waitFirst(ctx context.Context, j Join, me Member) error {
	for {
		if err := l.followAhead(ctx, j, me); err != nil {
			return err
		}
		v, err := l.readAhead(ctx, me)
		if err != nil {
			return err
		}
		last := len(v.Members) - 1
		if last < 0 || !v.Members[last].is(me) {
			return errRemoved
		}
		if l.Rule(v) > last {
			return nil
		}
	}
}

// followAhead returns nil when the rule may admit the member.
func (l *Line) followAhead(ctx context.Context, j Join, me Member) error {
	m := newMirror(l.Session.Client(), l.prefix(), l.Rule)
	keys := []string{l.prefix(), l.SettingKey("")}
	m.Cache = listwatch.New(l.Session.Client(), &ahead{m, l, me}, keys, gateway.Prefix())
	m.WatchOptions(l.prefix(), gateway.NoPut())
	defer m.Close()
	_, err := l.waitIn(ctx, m, j, me)
	return err
}

// ahead is the reducer of a mirror of one member, which does not read the members behind it. The
// rule does not need them to decide on this member.
type ahead struct {
	*mirror
	line *Line
	me   Member
}

// Read reads the member, those ahead of it, and the settings.
func (a *ahead) Read(ctx context.Context) (*gateway.GetResponse, error) {
	return a.line.getAhead(ctx, a.me)
}
