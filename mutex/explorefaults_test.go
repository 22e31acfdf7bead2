package mutex_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// holders are the locks that the goroutines of an exploration hold, by name.
type holders struct {
	wrong   func(format string, args ...any)
	overlap bool // keys are deleted, so that a holder learns of its loss after the next is granted

	mu     sync.Mutex
	m      map[string][]*holder
	last   int64
	fences map[named]*holder
}

type holder struct {
	number int64 // in the order of the grants
	who    string
	names  []string
	writer bool
	err    func() error
}

// enter checks that no two hold a name, unless both read.
func (h *holders) enter(e *holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.number = h.last
	for _, name := range e.names {
		for _, o := range h.m[name] {
			together := o.err() == nil && e.err() == nil
			if together && (o.writer || e.writer) && !h.overlap {
				h.wrong("%s is held by %s and %s", name, o.who, e.who)
			}
		}
		h.m[name] = append(h.m[name], e)
	}
}

func (h *holders) leave(e *holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range e.names {
		h.m[name] = slices.DeleteFunc(h.m[name], func(o *holder) bool { return o == e })
	}
}

func (h *holders) share(e *holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.writer = false
}

// named is a fence of a name. Holds of two names may have the same fence, because their keys may be
// put in one transaction.
type named struct {
	name  string
	fence int64
}

// read notes that a holder has read its fence, which no other of its names has.
func (h *holders) read(e *holder, fence int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fences == nil {
		h.fences = map[named]*holder{}
	}
	for _, name := range e.names {
		of := named{name, fence}
		if o := h.fences[of]; fence != 0 && o != nil && o != e {
			h.wrong("%s and %s have read the fence %d of %s", o.who, e.who, fence, name)
		}
		h.fences[of] = e
	}
}

// inOrder reports each write of a hold that was granted before the hold that wrote last.
func inOrder(wrong func(string, ...any), etcd *fakeetcd.Server) (check func()) {
	last := map[string]int64{}
	return func() {
		for _, name := range []string{"a", "b"} {
			kv, _ := etcd.Get("written/" + name)
			number, _ := strconv.ParseInt(string(kv.Value), 10, 64)
			if number < last[name] {
				wrong("hold %d has written %s after hold %d", number, name, last[name])
			}
			last[name] = number
		}
	}
}

// plant is a mistake of etcd that an exploration must find.
type plant int

const (
	honest        plant = iota
	twoHolders          // a key is deleted, and its holder learns of that later
	guardsIgnored       // a late transaction is applied whether its guard holds or not
)

// disturb delays requests, loses answers, denies deletions, and applies requests long after their
// callers have left. If it breaks holds, it also deletes keys and revokes leases.
func disturb(
	wrong func(string, ...any), etcd *fakeetcd.Server, random *rand.Rand, r run, marked *int,
) {
	check := inOrder(wrong, etcd)
	var late []*fakeetcd.Call
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		defer check()
		if strings.HasPrefix(c.Path, "/lease") {
			return c.Apply()
		}
		if random.IntN(2) == 0 {
			c.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		if len(late) > 0 && random.IntN(4) == 0 {
			i := random.IntN(len(late))
			if r.plant == guardsIgnored {
				late[i].Body = bytes.Replace(late[i].Body, []byte(`"compare"`), []byte(`"other"`), 1)
			}
			late[i].Apply()
			check()
			late = slices.Delete(late, i, i+1)
		}
		if (r.breaks || r.plant == twoHolders) && random.IntN(60) == 0 {
			breakOne(etcd, random)
		}
		switch dice := random.IntN(100); {
		case dice < 5 && c.Path == "/kv/txn":
			late = append(late, c)
			return fakeetcd.Lost
		case dice < 8:
			c.Apply()
			return fakeetcd.Lost
		case dice < 30 && strings.Contains(string(c.Body), "request_delete"):
			return fakeetcd.Denied()
		}
		answer := c.Apply()
		if isMarked(c, answer) {
			*marked++
			checkFirst(wrong, etcd, c)
		}
		return answer
	})
}

// breakOne deletes the key of a member, or revokes its lease.
func breakOne(etcd *fakeetcd.Server, random *rand.Rand) {
	keys := members(etcd)
	if len(keys) == 0 {
		return
	}
	key := keys[random.IntN(len(keys))]
	if kv, _ := etcd.Get(key); kv.Lease != 0 && random.IntN(4) == 0 {
		etcd.Revoke(kv.Lease)
	} else {
		etcd.Delete(key)
	}
}

// sessions are sessions of two clients. One that has ended is replaced.
type sessions struct {
	t       *testing.T
	turn    chan struct{} // held during a call; not a mutex, because that would stop the fake time
	clients []*gateway.Client
	open    [4]*session.Session
}

func (p *sessions) get(i int) *session.Session {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	for p.open[i] == nil || p.open[i].Err() != nil {
		s, err := session.New(p.t.Context(), p.clients[i%len(p.clients)], nil)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		p.open[i] = s
	}
	return p.open[i]
}
