package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/machine"
	"github.com/holdfast-go/holdfast/integration/faults/model"
	"github.com/holdfast-go/holdfast/integration/faults/picture"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// The control: checks that find no fault in holdfast must find the known fault of another library.
// The mutex of clientv3/concurrency notifies its holder after the server has granted the lock to
// the next one, because it counts the deadline from the arrival of an answer and checks it once a
// second. If the control stops failing, the checks no longer find faults.

const (
	controlTTL   = 5 * time.Second
	controlLocks = 32 // each with a holder that is cut off and a waiter that is not
)

// subject is a library under test: it locks a place and returns a channel that is closed when its
// holder notices the loss.
type subject func(t *testing.T, endpoint, place string) (key string, lost <-chan struct{})

func holdfastMutex(t *testing.T, endpoint, place string) (string, <-chan struct{}) {
	c := recipetest.NewClient(t, gateway.Config{
		Endpoints:      []string{endpoint},
		AttemptTimeout: 4 * time.Second,
	})
	s := recipetest.NewSession(t, c, &session.Options{TTL: controlTTL})
	l, err := mutex.New(s, place, nil).Lock(recipetest.Within(t, 2*recipetest.Patience))
	if err != nil {
		t.Error(err)
		return "", nil
	}
	return l.Key(), l.Context().Done()
}

func clientv3Mutex(t *testing.T, endpoint, place string) (string, <-chan struct{}) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{endpoint},
		DialTimeout: recipetest.Patience,
	})
	if err != nil {
		t.Error(err)
		return "", nil
	}
	t.Cleanup(func() { _ = client.Close() })
	s, err := concurrency.NewSession(client, concurrency.WithTTL(int(controlTTL/time.Second)))
	if err != nil {
		t.Error(err)
		return "", nil
	}
	m := concurrency.NewMutex(s, place)
	if err := m.Lock(recipetest.Within(t, 2*recipetest.Patience)); err != nil {
		t.Error(err)
		return "", nil
	}
	return m.Key(), s.Done()
}

func TestControlOfLocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		what   string
		lock   subject
		delay  time.Duration
		unsafe bool
	}{
		{"clientv3-F8", "clientv3/concurrency", clientv3Mutex, 0, true},
		{"clientv3-F9", "clientv3/concurrency", clientv3Mutex, time.Second, true},
		{"holdfast-F8", "holdfast", holdfastMutex, 0, false},
		{"holdfast-F9", "holdfast", holdfastMutex, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			stop := watchMachine(t)
			found, illegal, pic := cutHolders(t, c.lock, c.delay)
			usage := stop()
			pic.Title = c.what + ": holders of a mutex are cut off from etcd, a time to live of 5 s"
			keepPicture(t, c.name, pic)
			t.Logf("figure: %s: of %d holders cut off, the log shows %d that held on too long, "+
				"and no order is found for %d",
				c.name, controlLocks, found, illegal)
			var violations, late []string
			switch {
			case c.unsafe && (found == 0 || illegal == 0):
				late = append(late, "the control does not fail any more: the checks are blind")
			case !c.unsafe && (found > 0 || illegal > 0):
				violations = append(violations, "a holder held on too long")
			}
			failures, void := machine.Judge(violations, late, usage.Busy())
			for _, what := range failures {
				t.Error(what)
			}
			if void != "" {
				t.Skipf("void: %s", void)
			}
		})
	}
}

// picturesVar is the folder for the pictures of the controls.
const picturesVar = "HOLDFAST_FAULTS_PICTURES"

func keepPicture(t *testing.T, name string, p *picture.Picture) {
	t.Helper()
	dir := os.Getenv(picturesVar)
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, name+".svg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Draw(f), f.Close()); err != nil {
		t.Error(err)
	}
}

// cutHolders cuts holders off while others wait for their locks. It returns the number of locks
// with violations by the log, the number of locks for which the search finds no order, and a
// picture of some of them.
func cutHolders(
	t *testing.T, lock subject, delay time.Duration,
) (found, illegal int, pic *picture.Picture) {
	t.Helper()
	cluster := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], UnsafeNoFsync: true,
		ExtraArgs: recipetest.Server("").ExtraArgs,
	})
	rec := history.NewRecorder(nil)
	watcher := history.Watch(rec.Clock, cluster.ClientV3(t))
	direct := cluster.Member(0).Endpoint()
	p, err := faultproxy.New(direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})

	grant := func(client, endpoint, place string) (string, <-chan struct{}) {
		op := rec.Begin(history.Op{Client: client, Place: place, Verb: history.Lock})
		key, lost := lock(t, endpoint, place)
		rec.End(op, history.OK, nil, func(o *history.Op) { o.Key = key })
		return key, lost
	}
	var held, done sync.WaitGroup
	cut := make(chan struct{})
	var places []string
	for i := range controlLocks {
		place := fmt.Sprintf("control%d", i)
		places = append(places, place)
		held.Add(1)
		done.Go(func() {
			// With different starts, the cut occurs at different times between two renewals.
			wait(t, time.Duration(i)*controlTTL/3/controlLocks)
			key, lost := grant("victim", p.URL(), place)
			done.Go(func() { grant("other", direct, place) })
			held.Done()
			<-cut
			if lost != nil {
				<-lost
			}
			rec.Note(history.Op{Client: "victim", Place: place, Verb: history.Lose, Key: key})
		})
	}
	held.Wait()
	pic = &picture.Picture{}
	if p.Delay(faultproxy.Down, delay); delay > 0 {
		pic.Faults = append(pic.Faults,
			picture.Fault{
				What: fmt.Sprintf("answers to holders come %v late", delay),
				From: rec.Now(),
			})
	}
	wait(t, controlTTL)
	p.Blackhole(faultproxy.Both)
	pic.Faults = append(pic.Faults, picture.Fault{What: "holders are cut off", From: rec.Now()})
	close(cut)
	done.Wait()
	for i := range pic.Faults {
		pic.Faults[i].To = rec.Now()
	}
	if err := p.Heal(); err != nil {
		t.Error(err)
	}

	ctx := recipetest.Within(t, recipetest.Patience)
	end, err := cluster.ClientV3(t).Put(ctx, "the end", "")
	if err == nil {
		err = watcher.Until(ctx, end.Header.Revision)
	}
	if err != nil {
		t.Error(err)
	}
	log := watcher.Stop()
	ops := withFences(rec.Ops(), log)
	var shown []string // the places with violations first
	for _, place := range places {
		if tooLong(log, ops, place) {
			found++
			shown = slices.Insert(shown, 0, place)
		} else {
			shown = append(shown, place)
		}
		if v := model.Mutex(&history.Conditions{}, place, ops, nil, false); !v.Legal() {
			illegal++
		}
	}
	pic.Lines = picture.Locks(log, ops, shown[:6]...)
	return found, illegal, pic
}

func wait(t *testing.T, d time.Duration) { recipetest.Pause(t, context.Background(), d, "fault") }

// withFences adds the fence of each key from the log, because clientv3 does not return it. Each key
// is used once.
func withFences(ops []history.Op, log history.Log) []history.Op {
	fence := map[string]int64{}
	for _, r := range log {
		for _, ev := range r.Events {
			if !ev.Deleted && ev.Version == 1 {
				fence[ev.Key] = r.Rev
			}
		}
	}
	for i := range ops {
		ops[i].Fence = fence[ops[i].Key]
	}
	return ops
}

// tooLong reports whether the checks of a lock, as every run makes them, find two holders at a
// time.
func tooLong(log history.Log, ops []history.Op, place string) bool {
	var with, without history.Report
	history.Locks{Place: place}.Check(&with, &history.Conditions{}, log, ops)
	// The violations of a victim that ends in time have another cause, such as the hold that is not
	// released.
	early := make([]history.Op, len(ops))
	copy(early, ops)
	for i := range early {
		if early[i].Verb == history.Lose {
			early[i].Call = 0
		}
	}
	history.Locks{Place: place}.Check(&without, &history.Conditions{}, log, early)
	return len(with.Violations) > len(without.Violations)
}
