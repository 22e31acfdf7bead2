package line

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Read returns the line as it is now, from a linearizable read. Returns [gateway.ErrInvalid] when
// the line's name is not allowed, and else the error of the request.
func (l *Line) Read(ctx context.Context) (Snapshot, error) {
	if err := l.checkName(); err != nil {
		return Snapshot{}, err
	}
	return l.reader().read(ctx)
}

// Now is [Line.Read] for work under the session: it waits while the session is suspect and returns
// the session's error when the session ends.
func (l *Line) Now(ctx context.Context) (Snapshot, error) {
	if err := l.Check(ctx); err != nil {
		return Snapshot{}, err
	}
	ctx, cancel := l.Session.Bound(ctx)
	defer cancel()
	v, err := l.Read(ctx)
	if err != nil {
		return Snapshot{}, l.endCause(ctx, err)
	}
	return v, nil
}

// snapshotOf returns the members and settings among the keys below a prefix. Only direct children
// are members, because "a" and "a/b" are two lines.
func snapshotOf(resp *gateway.GetResponse, prefix string) Snapshot {
	v := Snapshot{
		Revision: resp.Revision,
		Members:  make([]Member, 0, len(resp.KVs)),
		Settings: map[string]string{},
		Puts:     map[string]Put{},
	}
	for _, kv := range resp.KVs {
		if isMember(kv.Key, prefix) {
			v.Members = append(v.Members,
				Member{Key: kv.Key, Fence: kv.CreateRevision, Value: string(kv.Value)})
		} else if what, ok := settingOf(kv.Key, prefix); ok {
			v.Settings[what], v.Puts[what] = string(kv.Value), Put{kv.ModRevision, kv.Version}
		}
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Fence, b.Fence) })
	return v
}

// SettingKey returns the key of a setting of the line.
func (l *Line) SettingKey(what string) string { return l.prefix() + "/" + what }

// SameSettings returns a comparison that holds if no setting of the line was put after v's
// revision.
func (l *Line) SameSettings(v Snapshot) gateway.Cmp {
	return gateway.CmpModRevision(l.SettingKey(""), gateway.Less, v.Revision+1).Prefix()
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

func settingOf(key, prefix string) (what string, ok bool) {
	what, ok = strings.CutPrefix(key, prefix+"/")
	return what, ok && !strings.Contains(what, "/")
}

// isMember reports whether a key is a member of the line with this prefix, which is a direct child.
// If the line's name ends in a slash, the settings of the name without it are direct children too.
// A key is a member then only if its name contains a lease, because no setting's name does.
func isMember(key, prefix string) bool {
	name, below := strings.CutPrefix(key, prefix)
	if !below || name == "" || strings.Contains(name, "/") {
		return false
	}
	return !strings.HasSuffix(prefix, "//") || Member{Key: key}.Lease() != 0
}
