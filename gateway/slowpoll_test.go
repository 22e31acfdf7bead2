package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowPolls is a member that takes a while to confirm a watch, behind something that holds back
// every answer until its end. A poll that ends before is answered with an error alone, as etcd's
// gateway does it.
type slowPolls struct {
	takes atomic.Int64 // a time.Duration
	rev   atomic.Int64 // of the last event of the key "a"
}

func (s *slowPolls) handle(w http.ResponseWriter, r request) {
	limit := r.Header.Get("Grpc-Timeout")
	if !strings.HasSuffix(r.URL.Path, "/watch") || limit == "" {
		hang(r)
		return
	}
	lasts, _ := time.ParseDuration(strings.TrimSuffix(limit, "m") + "ms")
	var creates []message
	for dec := json.NewDecoder(r.Body); ; {
		var m message
		if dec.Decode(&m) != nil {
			break
		}
		creates = append(creates, m)
	}
	time.Sleep(lasts)
	const over = `"code":4,"message":"context deadline exceeded"}`
	if lasts < time.Duration(s.takes.Load()) {
		answer(w, http.StatusGatewayTimeout, `{"error":"context deadline exceeded",`+over)
		return
	}
	var lines strings.Builder
	for _, m := range creates {
		rev := s.rev.Load()
		lines.WriteString(created(m.Create.ID, rev))
		if string(m.Create.Key) == "a" && m.Create.Start > 0 && m.Create.Start <= rev {
			lines.WriteString(events(m.Create.ID, kv("a", rev)))
		}
	}
	answer(w, http.StatusOK, lines.String()+`{"error":{`+over+"}\n")
}

// TestPollsBecomeLongerForASlowMember: where a member takes longer to confirm a watch than the
// shortest poll lasts, polls become longer, and watches that stand go on meanwhile.
func TestPollsBecomeLongerForASlowMember(t *testing.T) {
	t.Parallel()
	const slow = 150 * time.Millisecond
	for name, first := range map[string]time.Duration{"always": slow, "later": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &slowPolls{}
				s.takes.Store(int64(first))
				s.rev.Store(5)
				c := newCluster(t, 1, s.handle).client(t)
				a := stand(t, c, "a", 30*time.Second)
				s.takes.Store(int64(slow))
				stand(t, c, "b", 30*time.Second)
				s.rev.Store(6)
				time.Sleep(5 * time.Second)
				a.mu.Lock()
				defer a.mu.Unlock()
				if len(a.got) != 1 || a.err != nil {
					t.Errorf("got %v and %v, want one event", a.got, a.err)
				}
			})
		})
	}
}
