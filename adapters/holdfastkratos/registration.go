package holdfastkratos

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// retryPause is the pause after an error.
const retryPause = time.Second

// registration keeps the key of a service.
type registration struct {
	client *gateway.Client
	key    string
	value  []byte
	opts   *session.Options

	cancel context.CancelFunc
	once   sync.Once
	first  chan struct{} // closed when the key is there for the first time
	done   chan struct{} // closed when the goroutine has ended

	mu  sync.Mutex
	err error // the last one
}

func start(
	ctx context.Context, c *gateway.Client, key string, value []byte, opts *session.Options,
) *registration {
	ctx, cancel := context.WithCancel(ctx)
	r := &registration{
		client: c, key: key, value: value, opts: opts, cancel: cancel,
		first: make(chan struct{}), done: make(chan struct{}),
	}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			// It continues with other sessions, and ends after an error of etcd.
			if err := session.Run(ctx, c, opts, r.keep); ctx.Err() == nil {
				r.fail(err)
			}
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
			}
		}
	}()
	return r
}

func (r *registration) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// failure returns the last error, or nil.
func (r *registration) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *registration) stop() {
	r.cancel()
	<-r.done
}

// keep puts the key under a session, and again when it was deleted. The key ends with the session.
func (r *registration) keep(ctx context.Context, s *session.Session) error {
	if err := r.put(ctx, s); err != nil {
		return err
	}
	copied, err := cache.Open(ctx, r.client, r.key, nil)
	if err != nil {
		return err
	}
	defer copied.Close()
	for {
		now := copied.Snapshot()
		if _, there := now.Get(r.key); !there {
			if err := r.put(ctx, s); err != nil {
				return err
			}
		}
		r.once.Do(func() { close(r.first) })
		for _, err := range now.Changes(ctx) {
			if err != nil {
				return err
			}
			break
		}
	}
}

func (r *registration) put(ctx context.Context, s *session.Session) error {
	put := gateway.OpPut(r.key, r.value, gateway.WithLease(s.Lease()))
	_, err := s.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	return err
}
