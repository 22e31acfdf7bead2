package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// SnapshotInfo describes a snapshot that was written to a file.
type SnapshotInfo struct {
	Endpoint string // the URL of the member
	Size     int64  // bytes, the checksum at the end included
	Version  string // of etcdutl to restore it with; empty before etcd 3.6
}

// SnapshotToFile writes a snapshot of the member's database to a file that "etcdutl snapshot
// restore" accepts. On success the file is complete, checked, synced to the disk and readable by
// its owner only. On an error an earlier file is unchanged, because the snapshot is written under
// another name in the same directory and then renamed. A member of the empty URL is any member:
// each endpoint of the client is tried once until one succeeds. Only ctx bounds it. With auth on it
// needs a user with the role root. Returns ErrCorrupt when the data is damaged or incomplete,
// ErrUnavailable when no member could be reached, and the error of the file when it cannot be
// written.
func (m MemberClient) SnapshotToFile(ctx context.Context, path string) (*SnapshotInfo, error) {
	var info *SnapshotInfo
	save := func(ctx context.Context, ep *endpoint) error {
		s, err := m.client.snapshot(ctx, ep, func() {})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // it has no error
		if err := writeFile(path, s); err != nil {
			return err
		}
		info = &SnapshotInfo{Endpoint: s.Endpoint(), Size: s.Size(), Version: s.Version()}
		return nil
	}
	if m.url == "" {
		next := func(e *Error) bool { return errors.Is(e, ErrCorrupt) }
		err := m.client.inTurn(ctx, opSnapshot, next, save)
		return info, err
	}
	ctx, ep, leave, err := m.visit(ctx, opSnapshot)
	if err != nil {
		return nil, err
	}
	defer leave()
	err = save(ctx, ep)
	return info, err
}

// writeFile writes all of r into a file, or leaves no trace.
func writeFile(path string, r io.Reader) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.part")
	if err != nil {
		return fileError(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // an earlier error says more
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = io.Copy(onDisk{f}, r); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return fileError(err)
	}
	if err = f.Close(); err != nil {
		return fileError(err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fileError(err)
	}
	syncDir(dir)
	return nil
}

// syncDir makes a new name durable. Some systems cannot sync a directory; the error is ignored.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = errors.Join(d.Sync(), d.Close())
}

// onDisk marks errors of the file, to distinguish them from errors of the source.
type onDisk struct{ f *os.File }

func (d onDisk) Write(b []byte) (int, error) {
	n, err := d.f.Write(b)
	if err != nil {
		err = fileError(err)
	}
	return n, err
}

// fileError is not an error of an endpoint, because another endpoint would not help.
func fileError(err error) error { return fmt.Errorf("gateway: snapshot: %w", err) }
