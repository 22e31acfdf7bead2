package holdfasttest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"
	"time"
)

func (c *contract) both() []*target { return []*target{c.one, c.other} }

// watch creates a watch on both servers, now and then under an ID that is taken.
func (c *contract) watch() error {
	if len(c.live) > 0 && c.g.one(8) {
		return c.request(c.g.watch(c.live[0]))
	}
	c.nextID++
	m := c.g.watch(c.nextID)
	create := m["create_request"].(object)
	start, _ := strconv.ParseInt(fmt.Sprint(create["start_revision"]), 10, 64)
	if c.other.version == "3.4" && start > 0 && start == c.g.compacted {
		// Etcd before 3.4.34 loses the deletions at the compacted revision (etcd's issue 18089).
		start++
		create["start_revision"] = strconv.FormatInt(start, 10)
	}
	if err := c.request(m); err != nil {
		return err
	}
	id := strconv.Itoa(c.nextID)
	switch created := len(c.other.stream.of(id)) > 0; {
	case !created: // refused
		return c.same("-1")
	case start > 0 && start < c.g.compacted:
		// The watch ends by itself, but keeps its ID until it is canceled.
		for _, e := range c.both() {
			ended := func() bool { return len(e.stream.records[id]) == 2 }
			if err := e.stream.await(ended); err != nil {
				return fmt.Errorf("%s: compacted watch %s: %w", e.name, id, err)
			}
		}
		if err := c.request(cancel(c.nextID)); err != nil {
			return err
		}
		return c.same(id)
	}
	c.live = append(c.live, c.nextID)
	return nil
}

func cancel(id int) object {
	return object{"cancel_request": object{"watch_id": strconv.Itoa(id)}}
}

// cancel cancels a watch when its events have arrived, because etcd drops those on the way.
func (c *contract) cancel(t *testing.T) error {
	t.Helper()
	if err := c.settle(t); err != nil {
		return err
	}
	i := c.g.IntN(len(c.live))
	id := c.live[i]
	c.live = slices.Delete(c.live, i, i+1)
	if err := c.request(cancel(id)); err != nil {
		return err
	}
	return c.same(strconv.Itoa(id))
}

// request sends a message to both streams and waits for their answers.
func (c *contract) request(message object) error {
	c.acks++
	for _, e := range c.both() {
		err := e.stream.send(message)
		if err == nil {
			err = e.stream.await(func() bool { return e.stream.acks == c.acks })
		}
		if err != nil {
			return fmt.Errorf("%s: %v: %w", e.name, message, err)
		}
	}
	return nil
}

// settle waits until all watches have received all events, and compares these. A put makes sure
// that no watch begins in the future, because etcd reports no progress then.
func (c *contract) settle(t *testing.T) error {
	t.Helper()
	if len(c.live) == 0 {
		return nil
	}
	put := encode("/kv/put", object{"key": []byte("settle")})
	if err := c.compare(t, put); err != nil {
		return err
	}
	want := plain(object{"revision": strconv.FormatInt(c.g.rev, 10)})
	for _, e := range c.both() {
		if err := e.catchUp(want); err != nil {
			return fmt.Errorf("%s: progress: %w", e.name, err)
		}
	}
	if c.other.version == "3.4" {
		if err := c.other.awaitWatchers(); err != nil {
			return fmt.Errorf("%s: watches that are behind: %w", c.other.name, err)
		}
	}
	for _, id := range c.live {
		id := strconv.Itoa(id)
		if c.other.version == "3.4" {
			if err := c.awaitEvents(id); err != nil {
				return err
			}
		}
		if err := c.same(id); err != nil {
			return err
		}
	}
	return nil
}

// awaitEvents waits until a watch has as many events on the other server as on the first one. Etcd
// before 3.4.25 reports progress to a watch that is behind too.
func (c *contract) awaitEvents(id string) error {
	n := len(c.one.stream.of(id))
	err := c.other.stream.await(func() bool { return len(c.other.stream.records[id]) >= n })
	if errors.Is(err, errSilent) {
		return nil // the comparison shows the difference
	}
	return err
}

// awaitWatchers waits until no watch is behind, by etcd's metric. A watch without events says
// nothing about itself.
func (e *target) awaitWatchers() error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-again.C {
		resp, err := e.http.Get(e.base + "/metrics")
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || bytes.Contains(text, []byte("\netcd_debugging_mvcc_slow_watcher_total 0\n")) {
			return err
		}
	}
	return errSilent
}

// catchUp asks for progress until the stream has reached a revision. Etcd does not answer while a
// watch is behind.
func (e *target) catchUp(want string) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-again.C {
		if err := e.stream.send(object{"progress_request": object{}}); err != nil {
			return err
		}
		e.stream.mu.Lock()
		progress, err := e.stream.progress, e.stream.err
		e.stream.mu.Unlock()
		if progress == want || err != nil {
			return err
		}
	}
	return errSilent
}

// same compares the records of a watch.
func (c *contract) same(id string) error {
	one, other := c.one.stream.of(id), c.other.stream.of(id)
	if slices.Equal(one, other) {
		c.messages += len(one) - c.compared[id]
		c.compared[id] = len(one)
		return nil
	}
	i := 0
	for i < len(one) && i < len(other) && one[i] == other[i] {
		i++
	}
	return errors.Join(errDiffer, fmt.Errorf("watch %s: message %d of %d and %d:\n%s: %v\n%s: %v",
		id, i, len(one), len(other), c.one.name, one[i:min(i+2, len(one))], c.other.name,
		other[i:min(i+2, len(other))]))
}
