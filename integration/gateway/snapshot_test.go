package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestASnapshotCanBeRestored takes a snapshot, restores it by etcdutl, and starts an etcd on the
// result.
func TestASnapshotCanBeRestored(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		utl := must(etcdproc.Utl())(t)
		c := etcdtest.Start(t, recipetest.Server(version))
		ctx := within(t, time.Minute)
		theirs := c.ClientV3(t)
		value := string(bytes.Repeat([]byte("0123456789abcdef"), 4<<10)) // 64 KiB, two messages
		for i := range 60 {
			must(theirs.Put(ctx, fmt.Sprintf("key/%02d", i), value))(t)
		}
		must(theirs.Put(ctx, "key/00", "changed"))(t)
		// Neither the time of one attempt nor the size of one answer bounds a snapshot.
		ours := newClient(t, gateway.Config{
			Endpoints: c.Endpoints(), MaxResponse: 1 << 10, AttemptTimeout: 50 * time.Millisecond,
		})
		dir := t.TempDir()
		file := filepath.Join(dir, "backup.db")
		info := must(ours.Member("").SnapshotToFile(ctx, file))(t)
		if entries := must(os.ReadDir(dir))(t); len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
		stat := must(os.Stat(file))(t)
		if stat.Size() != info.Size || info.Size < 60*int64(len(value)) ||
			info.Endpoint != c.Endpoints()[0] ||
			(info.Version == "") != (version < "3.6") {
			t.Errorf("%+v, and the file has %d bytes", info, stat.Size())
		}
		sameDatabase(t, theirs, file)

		out := must(exec.CommandContext(ctx, utl, "snapshot", "status", file, "-w",
			"json").Output())(t)
		var said struct {
			Revision int64
			TotalKey int
		}
		if err := json.Unmarshal(out, &said); err != nil ||
			said.TotalKey != 60 || said.Revision != 62 {
			t.Errorf("etcdutl says %s, %v", out, err)
		}
		restored := filepath.Join(dir, "restored")
		if out, err := restore(t, utl, file, restored); err != nil {
			t.Fatalf("etcdutl snapshot restore: %v\n%s", err, out)
		}
		options := recipetest.Server(version)
		options.ExtraArgs = append(options.ExtraArgs, "--data-dir="+restored, "--force-new-cluster")
		again := etcdtest.Start(t, options).ClientV3(t)
		got := must(again.Get(ctx, "key/", clientv3.WithPrefix()))(t)
		if len(got.Kvs) != 60 || string(got.Kvs[0].Value) != "changed" ||
			string(got.Kvs[59].Value) != value {
			t.Errorf("%d keys in what was restored", len(got.Kvs))
		}

		damaged := must(os.ReadFile(file))(t)
		damaged[len(damaged)/2] ^= 1
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := restore(t, utl, file, filepath.Join(dir, "damaged")); err == nil {
			t.Errorf("etcdutl took a damaged file, so it proves nothing: %s", out)
		}
	})
}

func restore(t *testing.T, utl, file, dir string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), utl, "snapshot", "restore", file, "--data-dir",
		dir).CombinedOutput()
}

// sameDatabase compares size and format with a snapshot that clientv3 takes at about the same time.
func sameDatabase(t *testing.T, theirs *clientv3.Client, file string) {
	t.Helper()
	r := must(theirs.Snapshot(within(t, patience)))(t)
	defer r.Close()
	want, got := must(io.ReadAll(r))(t), must(os.ReadFile(file))(t)
	if len(got)%512 != sha256.Size || len(want)%512 != len(got)%512 {
		t.Errorf("%d bytes, clientv3 got %d: not a database and a checksum", len(got), len(want))
	}
	cut := len(got) - sha256.Size
	if sum := sha256.Sum256(got[:cut]); !bytes.Equal(sum[:], got[cut:]) {
		t.Error("the checksum in the file is wrong")
	}
}

// TestASnapshotIsReadFromTheNamedMember: the snapshot is read from the named member, even if it is
// not the one in use.
func TestASnapshotIsReadFromTheNamedMember(t *testing.T) {
	ours := newClient(t, gateway.Config{Endpoints: cluster.Endpoints()})
	other := etcdtest.Start(t, recipetest.Server(cluster.Version()))
	ctx := within(t, patience)
	must(other.ClientV3(t).Put(ctx, "mark", "only-in-the-other-one"))(t)
	s := must(ours.Member(other.Endpoints()[0]).Snapshot(ctx))(t)
	defer s.Close()
	db := must(io.ReadAll(s))(t)
	if !bytes.Contains(db, []byte("only-in-the-other-one")) ||
		s.Endpoint() != other.Endpoints()[0] {
		t.Errorf("a snapshot of %s", s.Endpoint())
	}
}
