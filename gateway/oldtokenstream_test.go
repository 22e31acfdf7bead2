package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// tokenStreams plays a member behind a proxy that rejects old tokens, with streams of watches that
// end when their tokens do.
type tokenStreams struct {
	tokens

	mu        sync.Mutex
	cut       chan struct{} // closed to end all streams
	confirmed time.Time     // when a watch was first confirmed after that
}

func (k *tokenStreams) handle(
	refuse func(w http.ResponseWriter, r request),
) func(w http.ResponseWriter, r request) {
	k.cut = make(chan struct{})
	return k.tokens.handle(refuse, k.stream)
}

// stream confirms every watch.
func (k *tokenStreams) stream(w http.ResponseWriter, r request) {
	k.mu.Lock()
	cut := k.cut
	k.mu.Unlock()
	gone := make(chan struct{})
	var writing sync.Mutex
	write := func(line string) {
		writing.Lock()
		defer writing.Unlock()
		line = strings.Replace(line, `"cluster_id":"7"`, `"cluster_id":"14841639068965178418"`, 1)
		_, _ = io.WriteString(w, line)
		_ = http.NewResponseController(w).Flush()
	}
	go func() {
		defer close(gone)
		for dec := json.NewDecoder(r.Body); ; {
			var m message
			switch err := dec.Decode(&m); {
			case err != nil:
				return
			case m.Create != nil:
				k.mu.Lock()
				if k.confirmed.IsZero() {
					k.confirmed = time.Now()
				}
				k.mu.Unlock()
				write(created(m.Create.ID, 5))
			case m.Progress != nil:
				write(progress(5))
			}
		}
	}()
	select {
	case <-cut:
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		<-gone
		panic(http.ErrAbortHandler)
	case <-r.Context().Done():
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	<-gone
}

// expire makes all tokens so far old, and cuts all streams.
func (k *tokenStreams) expire() {
	k.tokens.expire()
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.cut)
	k.cut, k.confirmed = make(chan struct{}), time.Time{}
}

func (k *tokenStreams) confirmedAt() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.confirmed
}

// TestAClientThatOnlyWatchesGetsANewToken: a client that only watches gets a new token when its
// streams are rejected without a reason, although it sends no other request.
func TestAClientThatOnlyWatchesGetsANewToken(t *testing.T) {
	t.Parallel()
	for name, refuse := range wordless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokenStreams{}
				c := newCluster(t, 1, k.handle(refuse)).client(t, withUser)
				reports, stop := watch(t, c, "k")
				defer stop()
				time.Sleep(time.Second)
				reports.want(t, "created 5")
				for range 3 {
					time.Sleep(2 * time.Minute)
					k.expire()
					expired := time.Now()
					time.Sleep(30 * time.Second)
					took := k.confirmedAt().Sub(expired)
					t.Log(took)
					if took < 0 || took > 15*time.Second {
						t.Errorf("the watch was confirmed again after %v", took)
					}
				}
				k.expire()
				synctest.Wait() // else the stream that ends may confirm it
				if _, err := c.Watch(within(t, 20*time.Second), "other"); err != nil {
					t.Error(err)
				}
				if n := k.count(); n != 5 {
					t.Errorf("%d log-ins, want 5", n)
				}
			})
		})
	}
}

// TestStreamsAreNoReasonToLogIn: if no stream passes at all, log-ins are few. If only some kind of
// stream does not pass, there is none.
func TestStreamsAreNoReasonToLogIn(t *testing.T) {
	t.Parallel()
	for name, refuse := range wordless {
		t.Run("no stream/"+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokens{}
				c := newCluster(t, 1, k.handle(refuse, refuse)).client(t, withUser)
				_, stop := watch(t, c, "k")
				defer stop()
				ctx := within(t, 10*time.Minute)
				for ctx.Err() == nil {
					_, _ = c.Get(ctx, "k") // it passes
					time.Sleep(300 * time.Millisecond)
				}
				if n := k.count(); n > 40 {
					t.Errorf("%d log-ins in 10 minutes", n)
				}
			})
		})
	}
	for _, way := range []string{"hangs", "closes"} {
		t.Run("no shared stream/"+way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokenStreams{}
				serve := k.handle(nil)
				c := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					if strings.HasSuffix(r.URL.Path, "/watch") && r.ContentLength <= 0 {
						wordless[way](w, r)
						return
					}
					serve(w, r)
				}).client(t, withUser)
				_, stop := watch(t, c, "k")
				defer stop()
				time.Sleep(time.Hour)
				if mode := c.Endpoints()[0].WatchMode; mode != gateway.WatchModeFinite {
					t.Errorf("mode %s", mode)
				}
				if n := k.count(); n != 1 {
					t.Errorf("%d log-ins, want 1", n)
				}
			})
		})
	}
}
