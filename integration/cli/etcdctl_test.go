package cli_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// etcdctl starts etcdctl.
func etcdctl(t *testing.T, args ...string) *running {
	t.Helper()
	bin, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, bin, nil, nil, args...)
}

// TestEtcdctlLockAndHoldfastExcludeEachOther: holdfast and etcdctl exclude each other, and wait for
// each other.
func TestEtcdctlLockAndHoldfastExcludeEachOther(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	ours := hold(t, name)
	theirs := etcdctl(t, "lock", name, "env")
	awaitMembers(t, name, 2)
	if theirs.ended() {
		t.Fatal("etcdctl has a lock that holdfast holds")
	}
	ours.signal(syscall.SIGTERM)
	ours.want(0)
	theirs.want(0)
	if out := theirs.rest(); !strings.Contains(out, "ETCD_LOCK_KEY="+name+"/") {
		t.Errorf("etcdctl ran %q", out)
	}

	theirs = etcdctl(t, "lock", name)
	if key := theirs.line(); !strings.HasPrefix(key, name+"/") {
		t.Fatal(key)
	}
	hf(t, 1, "lock", "-n", name, "--", "true")
	hf(t, 1, "lock", "-w", "1.5", name, "--", "true")
	next := start(t, "lock", name, "--", "sh", "-c", "echo $ETCD_LOCK_KEY")
	awaitMembers(t, name, 2)
	if next.ended() {
		t.Fatal("holdfast has a lock that etcdctl holds")
	}
	theirs.signal(syscall.SIGINT)
	if key := next.line(); !strings.HasPrefix(key, name+"/") {
		t.Errorf("ran with %q", key)
	}
	next.want(0)
}

// TestEtcdctlElectAndHoldfastLeadInTurn: holdfast and etcdctl lead after each other, and see each
// other.
func TestEtcdctlElectAndHoldfastLeadInTurn(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	ours := start(t, "elect", name, "ours")
	if key, value := ours.line(), ours.line(); !strings.HasPrefix(key, name+"/") ||
		value != "ours" {
		t.Errorf("printed %q, %q", key, value)
	}
	listener := etcdctl(t, "elect", "-l", name)
	listener.line()
	if value := listener.line(); value != "ours" {
		t.Errorf("etcdctl sees %q", value)
	}
	listener.signal(syscall.SIGINT)
	theirs := etcdctl(t, "elect", name, "theirs")
	awaitMembers(t, name, 2)
	ours.signal(syscall.SIGTERM)
	ours.want(0)
	theirs.line()
	if value := theirs.line(); value != "theirs" {
		t.Errorf("etcdctl leads with %q", value)
	}
	if value := hf(t, 0, "leader", name); value != "theirs" {
		t.Errorf("holdfast sees %q", value)
	}
	if all := rows(t, "ls", name); len(all) != 1 || all[0]["recipe"] != "election" ||
		all[0]["session"] != nil {
		t.Errorf("ls of etcdctl's: %v", all)
	}
	next := start(t, "elect", name, "next", "--", "echo", "leading")
	awaitMembers(t, name, 2)
	theirs.signal(syscall.SIGINT)
	if l := next.line(); l != "leading" {
		t.Errorf("printed %q", l)
	}
	next.want(0)
}
