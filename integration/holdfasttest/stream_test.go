package holdfasttest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// patience is the time that a server has to answer.
const patience = 5 * time.Second

var (
	errSilent = errors.New("no answer")
	errClosed = errors.New("closed")
)

// stream is a stream of watches. It records the messages of each watch, with their events one by
// one, because servers may send several revisions in one message.
type stream struct {
	w io.WriteCloser

	mu       sync.Mutex
	records  map[string][]string // by the ID of the watch
	last     map[string]string   // the revision of the last event
	acks     int                 // answers to requests to create and cancel watches
	progress string              // the header of the newest progress report
	err      error
	changed  chan struct{}
}

// signal reports that something was recorded.
func (s *stream) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// openStream opens the stream of a target. Etcd answers with the first message only, so the answer
// is awaited in the background.
func openStream(t *testing.T, e *target) *stream {
	t.Helper()
	r, w := io.Pipe()
	s := &stream{
		w: w, records: map[string][]string{}, last: map[string]string{},
		changed: make(chan struct{}, 1),
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.base+"/v3/watch", r)
	if err != nil {
		t.Fatal(err)
	}
	e.authorize(req)
	req.Close = true // otherwise the answer begins after the request's end
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read(e, req)
	}()
	t.Cleanup(func() {
		_ = w.CloseWithError(errClosed)
		<-done // the test's context has ended, and the request with it
	})
	return s
}

func (s *stream) read(e *target, req *http.Request) {
	resp, err := e.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for err == nil {
			var line []byte
			if line, err = lines.ReadBytes('\n'); err != nil {
				break
			}
			if e.alter != nil {
				line = e.alter(line)
			}
			err = s.add(line)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.signal()
}

// add records a message.
func (s *stream) add(line []byte) error {
	var m struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal(line, &m); err != nil || m.Result == nil {
		return fmt.Errorf("message %q: %w", line, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	id := fmt.Sprint(m.Result["watch_id"])
	events, _ := m.Result["events"].([]any)
	delete(m.Result, "events")
	created, canceled := m.Result["created"], m.Result["canceled"]
	switch {
	case created == nil && canceled == nil && events == nil:
		s.progress = plain(m.Result["header"])
	case events == nil:
		if m.Result["compact_revision"] == nil {
			s.acks++
		}
		s.records[id] = append(s.records[id], plain(m.Result))
	}
	for i, ev := range events {
		rev := fmt.Sprint(ev.(map[string]any)["kv"].(map[string]any)["mod_revision"])
		if i == 0 && rev == s.last[id] {
			return fmt.Errorf("revision %s is split: %q", rev, line)
		}
		s.last[id] = rev
		s.records[id] = append(s.records[id], plain(ev))
	}
	return nil
}

// await waits until the stream's records are as wanted.
func (s *stream) await(wanted func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		done, err := wanted(), s.err
		s.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-s.changed:
		case <-deadline.C:
			return errSilent
		}
	}
}

// of returns the records of a watch.
func (s *stream) of(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records[id])
}

// send sends a message.
func (s *stream) send(message object) error {
	line, err := json.Marshal(message)
	if err == nil {
		_, err = s.w.Write(append(line, '\n'))
	}
	return err
}
