package gateway_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

const canary = "canary-password"

var pause = recipetest.Pause

// noCanary looks for passwords in values that could be printed.
func noCanary(t *testing.T, values ...any) {
	t.Helper()
	for _, v := range values {
		for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)} {
			if strings.Contains(text, "canary") {
				t.Errorf("a password in %s", text)
			}
		}
	}
}

// TestUsersRolesAndAuthAreEnforced sets up users and roles, turns auth on, and checks that etcd
// enforces them.
func TestUsersRolesAndAuthAreEnforced(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, recipetest.Server(version))
		ctx := within(t, time.Minute)
		logs := slog.New(slog.NewTextHandler(noSecrets{t}, &slog.HandlerOptions{
			Level: slog.LevelDebug,
		}))
		// The client that turns auth on has the password from the start.
		login := func(user string, password gateway.Secret) *gateway.Client {
			return newClient(t, gateway.Config{
				Endpoints: c.Endpoints(), Username: user, Password: password,
				AllowPlaintextAuth: true, Logger: logs,
			})
		}
		root := login("root", canary+"-root")
		theirs := c.ClientV3(t) // until auth is on

		for _, err := range []error{
			root.Auth().UserAdd(ctx, "root", canary+"-root"),
			root.Auth().RoleAdd(ctx, "root"),
			root.Auth().UserGrantRole(ctx, "root", "root"),
			root.Auth().UserAdd(ctx, "worker", canary+"-worker"),
			root.Auth().UserAddWithoutPassword(ctx, "nobody"),
			root.Auth().RoleAdd(ctx, "work"),
			root.Auth().RoleAdd(ctx, "spare"),
			root.Auth().UserGrantRole(ctx, "worker", "work"),
			root.Auth().UserGrantRole(ctx, "worker", "work"), // which changes nothing
			root.Auth().UserGrantRole(ctx, "worker", "spare"),
			root.Auth().RoleGrantPermission(ctx, "work", gateway.PermReadWrite, "jobs/",
				gateway.Prefix()),
			root.Auth().RoleGrantPermission(ctx, "work", gateway.PermRead, "a", gateway.Range("c")),
			root.Auth().RoleGrantPermission(ctx, "work", gateway.PermWrite, "one"),
			root.Auth().RoleGrantPermission(ctx, "work", gateway.PermWrite, "zz",
				gateway.FromKey()),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		wantPerms := []gateway.Permission{
			{Type: gateway.PermRead, Key: "a", End: "c"},
			{Type: gateway.PermReadWrite, Key: "jobs/", End: "jobs0"},
			{Type: gateway.PermWrite, Key: "one"},
			{Type: gateway.PermWrite, Key: "zz", End: "\x00"},
		}
		if got := permsBy(t, must(theirs.RoleGet(ctx, "work"))(t)); !reflect.DeepEqual(got,
			wantPerms) {
			t.Errorf("clientv3 sees %+v, want %+v", got, wantPerms)
		}
		if got := must(root.Auth().RoleGet(ctx, "work"))(t); !reflect.DeepEqual(got, wantPerms) {
			t.Errorf("RoleGet: %+v, want %+v", got, wantPerms)
		}
		lists := map[string][3][]string{
			"UserList": {
				must(root.Auth().UserList(ctx))(t), must(theirs.UserList(ctx))(t).Users,
				{"nobody", "root", "worker"},
			},
			"RoleList": {
				must(root.Auth().RoleList(ctx))(t), must(theirs.RoleList(ctx))(t).Roles,
				{"root", "spare", "work"},
			},
			"UserGet": {
				must(root.Auth().UserGet(ctx, "worker"))(t),
				must(theirs.UserGet(ctx, "worker"))(t).Roles,
				{"spare", "work"},
			},
		}
		for what, l := range lists {
			if slices.Sort(l[1]); !slices.Equal(l[0], l[2]) || !slices.Equal(l[1], l[2]) {
				t.Errorf("%s: %v, clientv3 sees %v, want %v", what, l[0], l[1], l[2])
			}
		}
		refused(t, root)
		if _, err := root.Auth().Authenticate(ctx, "root",
			canary+"-root"); !errors.Is(err, gateway.ErrAuthNotEnabled) {
			t.Errorf("Authenticate with auth off: %v", err)
		}
		authStatus(t, c, root, false)

		if err := root.Auth().Enable(ctx); err != nil {
			t.Fatal(err)
		}
		authStatus(t, c, root, true)
		if _, err := theirs.Put(ctx, "k", ""); !errors.Is(err, rpctypes.ErrUserEmpty) {
			t.Errorf("auth is on, and clientv3 without a password gets %v", err)
		}
		worker := login("worker", canary+"-worker")
		allowed(t, c, worker)
		obeyed(t, c, root, worker, login)

		if err := root.Auth().Disable(ctx); err != nil {
			t.Fatal(err)
		}
		if err := root.Auth().Disable(ctx); err != nil {
			t.Errorf("Disable again: %v", err)
		}
		authStatus(t, c, root, false)
		must(theirs.Put(ctx, "k", ""))(t)
		must(login("worker", canary+"-of-no-account").Put(ctx, "elsewhere", nil))(t)
		noCanary(t, root, worker)
	})
}

// noSecrets fails a test if a log line contains a password.
type noSecrets struct{ t *testing.T }

func (p noSecrets) Write(b []byte) (int, error) {
	noCanary(p.t, string(b))
	return len(b), nil
}

func permsBy(t *testing.T, r *clientv3.AuthRoleGetResponse) (perms []gateway.Permission) {
	t.Helper()
	for _, p := range r.Perm {
		kind := gateway.PermissionType(p.PermType.String())
		perms = append(perms, gateway.Permission{
			Type: kind, Key: string(p.Key), End: string(p.RangeEnd),
		})
	}
	return perms
}

func authStatus(t *testing.T, c *etcdtest.Cluster, root *gateway.Client, on bool) {
	t.Helper()
	s, err := root.Auth().Status(within(t, patience))
	if c.Version() == "3.4" {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Status: %v", err)
		}
		return
	}
	if err != nil || s.Enabled != on || s.Revision == 0 {
		t.Errorf("Status: %+v, %v, want %v", s, err, on)
	}
}

// refused are calls about objects that do not exist, or exist already.
func refused(t *testing.T, root *gateway.Client) {
	t.Helper()
	ctx := within(t, patience)
	second := func(_ any, err error) error { return err }
	for what, tt := range map[string]struct{ err, want error }{
		"user again":   {root.Auth().UserAdd(ctx, "worker", canary), gateway.ErrExists},
		"role again":   {root.Auth().RoleAdd(ctx, "work"), gateway.ErrExists},
		"unknown user": {second(root.Auth().UserGet(ctx, "none")), gateway.ErrNotFound},
		"unknown role": {second(root.Auth().RoleGet(ctx, "none")), gateway.ErrNotFound},
		"delete user":  {root.Auth().UserDelete(ctx, "none"), gateway.ErrNotFound},
		"delete role":  {root.Auth().RoleDelete(ctx, "none"), gateway.ErrNotFound},
		"password of none": {
			root.Auth().UserChangePassword(ctx, "none", canary),
			gateway.ErrNotFound,
		},
		"grant none": {root.Auth().UserGrantRole(ctx, "worker", "none"), gateway.ErrNotFound},
		"revoke role": {
			root.Auth().UserRevokeRole(ctx, "worker", "root"),
			gateway.ErrNotFound,
		},
		"revoke key": {
			root.Auth().RoleRevokePermission(ctx, "work", "other"),
			gateway.ErrNotFound,
		},
		"grant to none": {
			root.Auth().RoleGrantPermission(ctx, "none", gateway.PermRead, "k"),
			gateway.ErrNotFound,
		},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", what, tt.err, tt.want)
		}
		noCanary(t, tt.err)
	}
}

// allowed checks the calls that a user may make, and the calls that the user may not.
func allowed(t *testing.T, c *etcdtest.Cluster, worker *gateway.Client) {
	t.Helper()
	ctx := within(t, patience)
	// etcd 3.4 does not check the permission to move the leader. There the call fails because 7 is
	// not a member.
	err := worker.Cluster().MoveLeader(ctx, 7)
	if e, ok := errors.AsType[*gateway.Error](err); !ok || c.Version() != "3.4" &&
		!errors.Is(err, gateway.ErrPermissionDenied) ||
		c.Version() == "3.4" && e.Code != gateway.CodeFailedPrecondition {
		t.Errorf("move the leader: %v", err)
	}
	second := func(_ any, err error) error { return err }
	for what, tt := range map[string]struct {
		err     error
		allowed bool
	}{
		"write in the prefix":  {second(worker.Put(ctx, "jobs/1", nil)), true},
		"read the prefix":      {second(worker.Get(ctx, "jobs/", gateway.Prefix())), true},
		"read the range":       {second(worker.Get(ctx, "bb")), true},
		"write in the range":   {second(worker.Put(ctx, "bb", nil)), false},
		"write the one key":    {second(worker.Put(ctx, "one", nil)), true},
		"read the one key":     {second(worker.Get(ctx, "one")), false},
		"write after the last": {second(worker.Put(ctx, "zzz", nil)), true},
		"write elsewhere":      {second(worker.Put(ctx, "elsewhere", nil)), false},
		"itself":               {second(worker.Auth().UserGet(ctx, "worker")), true},
		"another":              {second(worker.Auth().UserGet(ctx, "root")), false},
		"list members":         {second(worker.Cluster().MemberList(ctx)), true},
		"status":               {second(worker.Member("").Status(ctx)), true},
		"sync":                 {worker.Sync(ctx), true},
		"add a user":           {worker.Auth().UserAdd(ctx, "other", canary), false},
		"defragment":           {worker.Member("").Defragment(ctx), false},
		"snapshot":             {second(worker.Member("").Snapshot(ctx)), false},
		"turn auth off":        {worker.Auth().Disable(ctx), false},
		"hash of the database": {second(worker.Member("").Hash(ctx)), false},
	} {
		switch {
		case tt.allowed && tt.err != nil:
			t.Errorf("%s: %v", what, tt.err)
		case !tt.allowed && !errors.Is(tt.err, gateway.ErrPermissionDenied):
			t.Errorf("%s: %v, want a refusal", what, tt.err)
		}
		noCanary(t, tt.err)
	}
}

// obeyed are changes made while auth is on.
func obeyed(
	t *testing.T, c *etcdtest.Cluster, root, worker *gateway.Client,
	login func(string, gateway.Secret) *gateway.Client,
) {
	t.Helper()
	ctx := within(t, patience)
	theirs := func(user, password string) error { // a log-in of clientv3
		client, err := clientv3.New(clientv3.Config{
			Endpoints: c.Endpoints(), Username: user, Password: password, DialTimeout: patience,
		})
		if err == nil {
			err = client.Close()
		}
		return err
	}
	if err := root.Auth().UserChangePassword(ctx, "worker", canary+"-new"); err != nil {
		t.Fatal(err)
	}
	if err := theirs("worker", canary+"-worker"); err == nil {
		t.Error("clientv3 gets in with the old password")
	}
	if err := theirs("worker", canary+"-new"); err != nil {
		t.Errorf("clientv3 with the new password: %v", err)
	}
	_, err := login("worker", canary+"-worker").Get(ctx, "jobs/1")
	if !errors.Is(err, gateway.ErrUnauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	noCanary(t, err)
	if _, err := worker.Put(ctx, "jobs/1", nil); !errors.Is(err, gateway.ErrUnauthenticated) {
		t.Errorf("with a token of the old password: %v", err)
	}
	worker = login("worker", canary+"-new")
	must(worker.Get(ctx, "jobs/1"))(t)
	token := must(worker.Auth().Authenticate(ctx, "worker", canary+"-new"))(t)
	if token.Token == "" {
		t.Error("no token")
	}
	if _, err := worker.Auth().Authenticate(ctx, "worker",
		canary); !errors.Is(err, gateway.ErrUnauthenticated) {
		t.Errorf("a wrong password: %v", err)
	}

	if err := root.Auth().RoleRevokePermission(ctx, "work", "jobs/", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.Put(ctx, "jobs/1", nil); !errors.Is(err, gateway.ErrPermissionDenied) {
		t.Errorf("without the permission: %v", err)
	}
	if err := root.Auth().RoleGrantPermission(ctx, "spare",
		gateway.PermReadWrite, "jobs/1"); err != nil {
		t.Fatal(err)
	}
	must(worker.Put(ctx, "jobs/1", nil))(t)
	if err := root.Auth().UserRevokeRole(ctx, "worker", "spare"); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.Put(ctx, "jobs/1", nil); !errors.Is(err, gateway.ErrPermissionDenied) {
		t.Errorf("without the role: %v", err)
	}
	if err := errors.Join(root.Auth().RoleDelete(ctx, "spare"),
		root.Auth().UserDelete(ctx, "nobody")); err != nil {
		t.Fatal(err)
	}
	if left := fmt.Sprint(must(root.Auth().RoleList(ctx))(t),
		must(root.Auth().UserList(ctx))(t)); left != "[root work] [root worker]" {
		t.Errorf("%s are left", left)
	}
}

// TestMaintenanceWorksOverTLSWithAPassword: one member over TLS, with client certificates and a
// password.
func TestMaintenanceWorksOverTLSWithAPassword(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{
		Version: cluster.Version(), UnsafeNoFsync: true, ClientCertAuth: true, RootPassword: canary,
		AuthTokenTTL: 2 * time.Second,
		ExtraArgs:    recipetest.Server("").ExtraArgs,
	})
	ours := newClient(t, gateway.Config{
		Endpoints: c.Endpoints(), TLS: c.TLSConfig(), Username: "root", Password: canary,
	})
	ctx := within(t, patience)
	if s := must(ours.Member("").Status(ctx))(t); s.MemberID != c.Member(0).ID() {
		t.Errorf("%+v", s)
	}
	if h := must(ours.Member("").Health(ctx))(t); !h.Healthy {
		t.Errorf("%+v", h)
	}
	must(ours.Member("").Version(ctx))(t)
	if err := ours.Sync(ctx); err != nil || len(ours.Endpoints()) != 1 {
		t.Errorf("%+v, %v", ours.Endpoints(), err)
	}
	pause(t, ctx, 3500*time.Millisecond, "expiry of the token") // etcd checks once a second
	must(ours.Member("").SnapshotToFile(ctx, filepath.Join(t.TempDir(), "backup.db")))(t)
	if err := ours.Member("").Defragment(ctx); err != nil {
		t.Error(err)
	}
	_, err := newClient(t,
		gateway.Config{Endpoints: c.Endpoints(), TLS: c.TLSConfig()}).Member("").Status(ctx)
	if c.Version() != "3.4" && !errors.Is(err, gateway.ErrUnauthenticated) {
		t.Errorf("without a password: %v", err)
	}
}
