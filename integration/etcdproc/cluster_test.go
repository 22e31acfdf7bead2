package etcdproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/internal/reexec"
)

func TestSingleMemberKeepsItsDataOverRestarts(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, &etcdproc.Options{Version: version, UnsafeNoFsync: true})
		client := c.ClientV3(t)
		m := c.Member(0)
		if _, err := client.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if err := m.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantValue(t, client, "k", "v")
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		if m.Running() {
			t.Error("member is running after Kill")
		}
		if err := m.Kill(); err != nil {
			t.Errorf("second Kill: %v", err)
		}
		if err := m.Pause(); err == nil {
			t.Error("Pause of a killed member succeeded")
		}
		if err := m.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.Launch(); err == nil {
			t.Error("Launch of a running member succeeded")
		}
		wantValue(t, client, "k", "v")
	})
}

func TestLeaderChangesWhenItsMemberDies(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{Members: 3, UnsafeNoFsync: true})
	client := c.ClientV3(t)
	if _, err := client.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}

	old := c.FindLeader(t)
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	next := c.FindLeader(t)
	if next == old {
		t.Fatalf("%s still leads after its death", old.Name())
	}
	wantValue(t, client, "k", "v")
	if err := old.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := next.Pause(); err != nil {
		t.Fatal(err)
	}
	third := c.FindLeader(t)
	if third == next {
		t.Fatalf("%s still leads while it is frozen", next.Name())
	}
	if !next.Running() {
		t.Error("a frozen member is not running")
	}
	if err := next.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := next.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestQuorumComesBack(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{Members: 3, UnsafeNoFsync: true})
	lost := c.Members()[:2]
	for _, m := range lost {
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Member(2).WaitHealthy(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a member without quorum: got %v, want a deadline error", err)
	}
	for _, m := range lost {
		if err := m.Launch(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPausedMemberDoesNotAnswer(t *testing.T) {
	c := etcdtest.Start(t, &etcdproc.Options{UnsafeNoFsync: true})
	client := c.ClientV3(t)
	m := c.Member(0)
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Get(ctx, "k"); err == nil {
		t.Error("a frozen member answered")
	}
	if err := m.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
}

func TestStartReportsWhyAMemberEnded(t *testing.T) {
	_, err := etcdproc.Start(t.Context(), &etcdproc.Options{
		Dir:       t.TempDir(),
		ExtraArgs: []string{"--no-such-flag"},
	})
	if err == nil {
		t.Fatal("Start with a wrong flag succeeded")
	}
	t.Log(err)
}

func TestBinaryOfAnUnknownVersion(t *testing.T) {
	if _, err := etcdproc.Binary("2.0"); err == nil {
		t.Error("Binary found etcd 2.0")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := os.Stat("/usr/bin/etcd"); err == nil {
		return
	}
	if _, err := etcdproc.Binary("3.4"); !errors.Is(err, etcdproc.ErrNotInstalled) {
		t.Errorf("Binary of 3.4 without one installed: got %v, want ErrNotInstalled", err)
	}
}

func TestVersionsComeFromTheEnvironment(t *testing.T) {
	t.Setenv("ETCD_VERSIONS", "")
	if got := etcdproc.Versions(); len(got) != 1 || got[0] != etcdproc.DefaultVersion {
		t.Errorf("default versions: got %q", got)
	}
	t.Setenv("ETCD_VERSIONS", "3.5, 3.7,")
	if got := etcdproc.Versions(); len(got) != 2 || got[0] != "3.5" || got[1] != "3.7" {
		t.Errorf("listed versions: got %q", got)
	}
}

func TestCtlTalksToTheCluster(t *testing.T) {
	ctl, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	c := etcdtest.Start(t, &etcdproc.Options{UnsafeNoFsync: true})
	out, err := exec.CommandContext(t.Context(), ctl, "--endpoints", c.Member(0).Endpoint(), "put",
		"k", "v").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantValue(t, c.ClientV3(t), "k", "v")
}

// killed is a process that starts a member and is killed.
var killed = reexec.Register("killed", func(dir string) int {
	_, err := etcdproc.Start(context.Background(), &etcdproc.Options{Dir: dir, UnsafeNoFsync: true})
	if err == nil {
		err = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if err == nil {
		select {} // until the signal arrives
	}
	_, _ = fmt.Fprintln(os.Stdout, err)
	return 1
})

func TestMembersDieWithTheirProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := killed.Command(t.Context(), dir)
	if out, err := cmd.Output(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("helper was not killed: %v\n%s", err, out)
	}
	// A member locks its database until it ends.
	db, err := os.Open(filepath.Join(dir, "m0.data", "member", "snap", "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for {
		err := syscall.Flock(int(db.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the member outlived its process: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func wantValue(t *testing.T, client *clientv3.Client, key, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	resp, err := client.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != want {
		t.Fatalf("%s: got %v, want %q", key, resp.Kvs, want)
	}
}
