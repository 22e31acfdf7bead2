package line

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// Read reads the line as it is now.
func (l *Line) Read(ctx context.Context) (View, error) {
	if err := l.Session.CheckName(l.Name); err != nil {
		return View{}, err
	}
	resp, err := l.Session.Client().Get(ctx, l.prefix(), gateway.Prefix())
	if err != nil {
		return View{}, err
	}
	return viewOf(resp, l.prefix()), nil
}

// viewOf sorts out what lies below a prefix. Only direct children are members: "a" and "a/b" are two lines.
func viewOf(resp *gateway.GetResponse, prefix string) View {
	v := View{Revision: resp.Revision, Members: make([]Member, 0, len(resp.KVs)), Settings: map[string]string{}}
	for _, kv := range resp.KVs {
		if isMember(kv.Key, prefix) {
			v.Members = append(v.Members, Member{Key: kv.Key, Fence: kv.CreateRevision, Value: string(kv.Value)})
		} else if what, ok := settingOf(kv.Key, prefix); ok {
			v.Settings[what] = string(kv.Value)
		}
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Fence, b.Fence) })
	return v
}

// SettingKey is where a recipe keeps a setting of the line.
func (l *Line) SettingKey(what string) string { return l.prefix() + "/" + what }

func settingOf(key, prefix string) (what string, ok bool) {
	what, ok = strings.CutPrefix(key, prefix+"/")
	return what, ok && !strings.Contains(what, "/")
}

func isMember(key, prefix string) bool {
	return len(key) > len(prefix) && strings.HasPrefix(key, prefix) && !strings.Contains(key[len(prefix):], "/")
}

func parseLease(hex string) gateway.LeaseID {
	id, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0
	}
	return gateway.LeaseID(id)
}
