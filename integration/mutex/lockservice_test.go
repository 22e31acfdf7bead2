package mutex_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/mutex"
)

// TestEtcdsLockServiceAndThisLibraryWaitForEachOther: locks of the lock service of etcd and the
// mutex exclude each other and wait for each other.
func TestEtcdsLockServiceAndThisLibraryWaitForEachOther(t *testing.T) {
	eachName(t, withLockService)
}

func withLockService(t *testing.T, name string) {
	t.Helper()
	ctx := within(t, time.Minute)
	s := plain(t)
	lease, err := s.Client().Grant(ctx, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Key []byte `json:"key"`
	}
	theirLock := func() error {
		request := map[string]any{"name": []byte(name), "lease": fmt.Sprint(int64(lease.ID))}
		return postJSON(ctx, "/v3/lock/lock", request, &answer)
	}
	theirUnlock := func() {
		request := map[string]any{"key": answer.Key}
		if err := postJSON(ctx, "/v3/lock/unlock", request, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}

	held := lock(t, s, name)
	locked := make(chan error, 1)
	go func() { locked <- theirLock() }()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	select {
	case err := <-locked:
		t.Fatalf("the service granted a lock that we hold: %v", err)
	default:
	}
	unlock(t, held)
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	_, err = mutex.New(s, name, nil).TryLock(ctx)
	who, ok := errors.AsType[*mutex.LockedError](err)
	if !ok || who.Key != string(answer.Key) || who.Lease != lease.ID {
		t.Errorf("our TryLock while the service holds %s: %v", answer.Key, err)
	}
	ours := make(chan *mutex.Lock, 1)
	go func() { ours <- lock(t, s, name) }()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	select {
	case <-ours:
		t.Fatal("we were granted a lock that the service holds")
	default:
	}
	theirUnlock()
	unlock(t, <-ours)
}

// postJSON sends a request to a service of etcd that the client of this library does not use.
func postJSON(ctx context.Context, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	url := cluster.Endpoints()[0] + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%d %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, answer)
}
