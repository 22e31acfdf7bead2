package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestASnapshotFileIsCompleteOrAbsent: the file appears complete or not at all, and nothing else is
// left.
func TestASnapshotFileIsCompleteOrAbsent(t *testing.T) {
	t.Parallel()
	db := aDatabase(4096)
	whole := func(w http.ResponseWriter) { send(w, parts(db, 1000)...) }
	holds := func(t *testing.T, dir, want string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("the directory holds %q, want %q", got, want)
		}
	}
	t.Run("whole", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, "backup.db")
		if err := os.WriteFile(file, []byte("older"), 0o644); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { whole(w) })
			info, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute), file)
			if err != nil || *info != (gateway.SnapshotInfo{
				Endpoint: cl.urls[0],
				Size:     4096 + 32, Version: "3.6.0",
			}) {
				t.Errorf("%+v, %v", info, err)
			}
		})
		holds(t, dir, "backup.db")
		got, err := os.ReadFile(file)
		if sum := sha256.Sum256(db); err != nil ||
			!bytes.Equal(got, append(db[:4096:4096], sum[:]...)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if s, err := os.Stat(file); err != nil || s.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", s.Mode(), err)
		}
	})
	for name, tt := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { tt.send(w) })
				_, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute),
					filepath.Join(dir, "backup.db"))
				wantErr(t, err, list(tt.is), nil)
			})
			holds(t, dir, "")
			// the next endpoint is tried, unless the user lacks the permission
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					if r.n == 0 {
						tt.send(w)
						return
					}
					whole(w)
				})
				_, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute),
					filepath.Join(dir, "backup.db"))
				if denied := errors.Is(tt.is, gateway.ErrPermissionDenied); (err == nil) == denied {
					t.Error(err)
				}
			})
		})
	}
	t.Run("a member that is named", func(t *testing.T) { // no other member is asked
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, "backup.db")
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
				if r.n == 0 {
					send(w, parts(db, 1000)[0])
					return
				}
				whole(w)
			})
			c, ctx := cl.client(t), within(t, time.Minute)
			if _, err := c.Member(cl.urls[0]).SnapshotToFile(ctx,
				file); !errors.Is(err, gateway.ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
			if n := len(cl.requests()); n != 1 {
				t.Errorf("%d members were asked", n)
			}
			holds(t, dir, "")
			info, err := c.Member(cl.urls[1]).SnapshotToFile(ctx, file)
			if err != nil || info.Endpoint != cl.urls[1] {
				t.Errorf("%+v, %v", info, err)
			}
			if _, err := c.Member("nonsense").SnapshotToFile(ctx,
				file); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
		holds(t, dir, "backup.db")
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 2, func(w http.ResponseWriter, _ request) { whole(w) })
			_, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute),
				filepath.Join(dir, "none", "backup.db"))
			wantErr(t, err, list(os.ErrNotExist), nil)
			if n := len(cl.requests()); n != 1 {
				t.Errorf("%d members were asked", n)
			}
		})
	})
	t.Run("a directory of that name", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "backup.db"), 0o755); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { whole(w) })
			if _, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute),
				filepath.Join(dir, "backup.db")); err == nil {
				t.Error("a directory was replaced")
			}
		})
		holds(t, dir, "backup.db")
	})
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
				send(w, parts(db, 1000)[0])
				<-r.Context().Done()
			})
			_, err := cl.client(t).Member("").SnapshotToFile(within(t, time.Minute),
				filepath.Join(dir, "backup.db"))
			wantErr(t, err, list(context.DeadlineExceeded), nil)
		})
		holds(t, dir, "")
	})
}
