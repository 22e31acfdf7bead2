package block

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// What the pieces of the documents take for granted.
var (
	ctx      context.Context
	c        *gateway.Client
	client   *gateway.Client
	s        *session.Session
	m        *mutex.Mutex
	lock     *mutex.Lock
	e        *election.Election
	term     *election.Term
	permit   *semaphore.Permit
	q        *queue.Queue
	msg      *queue.Message
	cyclic   *barrier.Cyclic
	nights   cron.Schedule
	w        *gateway.Watcher
	id       gateway.LeaseID
	grant    gateway.LeaseGrant
	t        gateway.Txn
	Config   gateway.Config
	cmps     []gateway.Cmp
	ops      []gateway.Op
	resp     response
	ev       election.Event
	fn       func(gateway.LeaseGrant)
	failed   func(error)
	logger   *slog.Logger
	err      error
	server   *http.Server
	ttl      time.Duration
	rev      int64
	member   uint64
	key      string
	prefix   string
	name     string
	path     string
	endpoint string
	peerURLs []string
	value    []byte
)

type response struct {
	*gateway.GetResponse
	Deleted   int64
	Succeeded bool
}

func work(context.Context, ...any) error           { return nil }
func build(context.Context, ...any) []byte         { return nil }
func plan(context.Context, ...any) error           { return nil }
func handle(context.Context, *queue.Message) error { return nil }
