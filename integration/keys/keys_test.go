package keys_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

const keysPage = "../../docs/keys.md"

// names are the names that the test uses, by the section of the page that lists their keys.
var names = map[string][]string{
	"Locks": {
		"docs/lock", "docs/rw", "docs/one", "docs/two", "docs/delayed", "docs/limited",
		"docs/moved", "docs/cached",
	},
	"The lock delay":           {"docs/delayed"},
	"Elections":                {"docs/election"},
	"Semaphores":               {"docs/semaphore"},
	"Barriers and latches":     {"docs/simple", "docs/double", "docs/cyclic", "docs/latch"},
	"Once":                     {"docs/once", "docs/kept"},
	"Groups":                   {"docs/group"},
	"Cron":                     {"docs/cron"},
	"Queues":                   {"docs/queue"},
	"Limits, counters and IDs": {"docs/limit", "docs/counter", "docs/ids"},
	"Broken holds":             {"docs/limited"},
	"Shards":                   {"docs/shards"},
}

// TestRecipesUseTheListedKeysOnly uses every recipe as a user with exactly the rights that the page
// lists, and compares the keys that etcd has seen with the page.
func TestRecipesUseTheListedKeysOnly(t *testing.T) {
	t.Parallel()
	p := readPage(t, keysPage)
	options := recipetest.Server(etcdproc.Versions()[0])
	options.RootPassword = "root"
	cluster := etcdtest.Start(t, options)
	root := cluster.ClientV3(t)
	grant(t, root, p.rights)

	cfg := gateway.Config{
		Endpoints: cluster.Endpoints(), Username: "worker", Password: "pw",
		AllowPlaintextAuth: true,
	}
	a := recipetest.NewSession(t, recipetest.NewClient(t, cfg),
		&session.Options{Name: "a", ParentKey: "outer/1"})
	b := recipetest.NewSession(t, recipetest.NewClient(t, cfg), nil)
	u := user{t, within(t), a, b}
	u.locks()
	u.elections()
	u.semaphores()
	u.barriers()
	u.onces()
	own := append(u.groups(), u.shards()...)
	u.crons()
	u.limits()
	u.transactions()
	u.queues()
	u.resumed()
	for _, s := range []*session.Session{a, b} {
		u.no(s.Close(u.ctx))
	}

	seen := map[string]bool{}
	for _, ev := range history(t, root) {
		key, value := string(ev.Kv.Key), string(ev.Kv.Value)
		lease := "window"
		switch gateway.LeaseID(ev.Kv.Lease) {
		case 0:
			lease = "none"
		case a.Lease(), b.Lease():
			lease = "session"
		default:
			switch {
			case strings.HasPrefix(value, "detached:"):
				lease = "detached"
			case slices.Contains(own, gateway.LeaseID(ev.Kv.Lease)):
				lease = "session"
			case strings.HasSuffix(key, "//result"), strings.HasPrefix(key, "holdfast/broken/"):
				lease = "retention"
			case strings.Contains(key, gateway.LeaseID(ev.Kv.Lease).String()):
				lease = "session" // of a Run
			}
		}
		if err := p.see(t, key, value, lease); err != nil {
			t.Error(err)
		}
		seen[key] = true
	}
	for _, s := range p.sections {
		for _, r := range s.rows {
			for v, seen := range r.values {
				if !seen {
					t.Errorf("%s: nothing has written %s = %q, lease %s", s.title, r.key, v,
						r.lease)
				}
			}
		}
		for f, seen := range s.fields {
			if !seen {
				t.Errorf("%s: no value had the field %q", s.title, f)
			}
		}
	}
	t.Logf("%d keys", len(seen))
}

// see finds the row of a key that was put, and marks its value as seen.
func (p *page) see(t *testing.T, key, value, lease string) error {
	t.Helper()
	for _, s := range p.sections {
		if r, v := p.find(t, s, key, value, lease, names[s.title]); r != nil {
			r.values[v] = true
			if err := s.check(value); err != nil {
				return fmt.Errorf("%s: %s = %q: %w", s.title, key, value, err)
			}
			return nil
		}
	}
	return fmt.Errorf("not on the page: %s = %q, lease %s", key, value, lease)
}

// grant makes the user worker, with the rights of the page for all names.
func grant(t *testing.T, root *clientv3.Client, rights []string) {
	t.Helper()
	ctx := within(t)
	_, err := root.UserAdd(ctx, "worker", "pw")
	if err == nil {
		_, err = root.RoleAdd(ctx, "worker")
	}
	for _, right := range rights {
		for _, name := range slices.Concat(names["Locks"], names["Elections"], names["Semaphores"],
			names["Barriers and latches"], names["Once"], names["Groups"], names["Shards"], names["Cron"],
			names["Limits, counters and IDs"], names["Queues"]) {
			key, end := strings.ReplaceAll(right, "<name>", name), ""
			if prefix, ok := strings.CutSuffix(key, "*"); ok {
				key, end = prefix, clientv3.GetPrefixRangeEnd(prefix)
			}
			if err == nil {
				_, err = root.RoleGrantPermission(ctx, "worker", key, end,
					clientv3.PermissionType(clientv3.PermReadWrite))
			}
		}
	}
	if err == nil {
		_, err = root.UserGrantRole(ctx, "worker", "worker")
	}
	if err != nil || len(rights) == 0 {
		t.Fatal(rights, err)
	}
}

// history returns all puts since the first revision.
func history(t *testing.T, root *clientv3.Client) (puts []*clientv3.Event) {
	t.Helper()
	ctx := within(t)
	end, err := root.Put(ctx, "end", "")
	if err != nil {
		t.Fatal(err)
	}
	for resp := range root.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if err := resp.Err(); err != nil {
			t.Fatal(err)
		}
		for _, ev := range resp.Events {
			switch {
			case ev.Kv.ModRevision == end.Header.Revision:
				return puts
			case ev.Type == clientv3.EventTypePut:
				puts = append(puts, ev)
			}
		}
	}
	t.Fatal("the watch has ended")
	return nil
}

func within(t *testing.T) context.Context {
	t.Helper()
	return recipetest.Within(t, recipetest.Patience)
}
