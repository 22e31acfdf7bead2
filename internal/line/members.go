package line

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// Read reads the line as it is now.
func (l *Line) Read(ctx context.Context) (Snapshot, error) {
	if err := l.checkName(); err != nil {
		return Snapshot{}, err
	}
	resp, err := l.Session.Client().Get(ctx, l.prefix(), gateway.Prefix())
	if err != nil {
		return Snapshot{}, err
	}
	return viewOf(resp, l.prefix()), nil
}

// Now is [Line.Read] for those who act under the session: it ends when that does.
func (l *Line) Now(ctx context.Context) (Snapshot, error) {
	if err := l.Check(ctx); err != nil {
		return Snapshot{}, err
	}
	ctx, cancel := l.bound(ctx)
	defer cancel()
	v, err := l.Read(ctx)
	if err != nil {
		return Snapshot{}, l.endCause(ctx, err)
	}
	return v, nil
}

// viewOf sorts out what lies below a prefix. Only direct children are members: "a" and "a/b" are two lines.
func viewOf(resp *gateway.GetResponse, prefix string) Snapshot {
	v := Snapshot{
		Revision: resp.Revision, Members: make([]Member, 0, len(resp.KVs)), Settings: map[string]string{}, Puts: map[string]Put{},
	}
	for _, kv := range resp.KVs {
		if isMember(kv.Key, prefix) {
			v.Members = append(v.Members, Member{Key: kv.Key, Fence: kv.CreateRevision, Value: string(kv.Value)})
		} else if what, ok := settingOf(kv.Key, prefix); ok {
			v.Settings[what], v.Puts[what] = string(kv.Value), Put{kv.ModRevision, kv.Version}
		}
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Fence, b.Fence) })
	return v
}

// SettingKey is where a recipe keeps a setting of the line.
func (l *Line) SettingKey(what string) string { return l.prefix() + "/" + what }

// SameSettings holds if no setting of the line was put since it was as in v.
func (l *Line) SameSettings(v Snapshot) gateway.Cmp {
	return gateway.CmpModRevision(l.SettingKey(""), gateway.Less, v.Revision+1).Prefix()
}

func settingOf(key, prefix string) (what string, ok bool) {
	what, ok = strings.CutPrefix(key, prefix+"/")
	return what, ok && !strings.Contains(what, "/")
}

// isMember tells whether a key is a direct child of the prefix. Where the name of the line ends in a slash, the settings
// of the name without it are such children too; a member is known by the lease in its name then, which no setting has.
func isMember(key, prefix string) bool {
	name, below := strings.CutPrefix(key, prefix)
	if !below || name == "" || strings.Contains(name, "/") {
		return false
	}
	return !strings.HasSuffix(prefix, "//") || Member{Key: key}.Lease() != 0
}

func parseLease(hex string) gateway.LeaseID {
	id, _ := gateway.ParseLeaseID(hex) // 0 if it is none
	return id
}
