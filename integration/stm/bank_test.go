package stm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// bank is a process whose goroutines move money between accounts.
var bank = reexec.Register("bank", bankProcess)

// bankVar is the duration of the test.
const bankVar = "HOLDFAST_STM_BANK"

const (
	accounts  = 100
	opening   = 1000 // of each account
	processes = 4
	tellers   = 5 // goroutines of a process
)

// entry is the value of a transfer's key in the log: the revisions of the accounts that it read.
type entry struct{ Reads map[string]int64 }

func account(prefix string, i int) string { return fmt.Sprintf("%saccount/%03d", prefix, i) }

// bankProcess moves money until its standard input ends. Its argument is the endpoint and the
// prefix of the keys.
func bankProcess(arg string) int {
	endpoint, prefix, _ := strings.Cut(arg, " ")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c, err := gateway.New(gateway.Config{
		Endpoints: []string{endpoint}, AttemptTimeout: 300 * time.Millisecond,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	for ctx.Err() == nil { // a session may be lost while answers are
		_ = session.Run(ctx, c, nil, func(ctx context.Context, s *session.Session) error {
			var of sync.WaitGroup
			for range tellers {
				of.Go(func() {
					for ctx.Err() == nil && move(ctx, s, prefix) == nil {
					}
				})
			}
			of.Wait()
			return context.Cause(ctx)
		})
	}
	return 0
}

// move makes one transfer, and writes the revisions of its reads into the log.
func move(ctx context.Context, s *session.Session, prefix string) error {
	from, to := account(prefix, rand.IntN(accounts)), account(prefix, rand.IntN(accounts))
	if from == to {
		return nil
	}
	opts := &stm.Options{Cache: rand.IntN(2) == 0}
	if rand.IntN(2) == 0 {
		opts.Prefetch = []string{from, to}
	}
	id := prefix + "log/" + strconv.FormatUint(rand.Uint64(), 36)
	_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
		read := entry{map[string]int64{}}
		var errs []error
		for _, key := range []string{from, to} {
			revision, err := tx.Revision(key)
			read.Reads[key] = revision
			errs = append(errs, err)
		}
		value, err := json.Marshal(read)
		tx.Put(id, value)
		return errors.Join(append(errs, err, transfer(tx, from, to, 1+rand.IntN(10)))...)
	}, opts)
	return err
}

// TestBank: while answers are lost, requests arrive late and processes are killed, the sum of all
// accounts is exact at every revision, and the history is serializable.
func TestBank(t *testing.T) {
	t.Parallel()
	length := 6 * time.Second
	if v := os.Getenv(bankVar); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	sometimes := func(n int) func(*faultproxy.Request) bool {
		return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.IntN(n) == 0 }
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(10), Action: faultproxy.Drop})
	late := p.Add(faultproxy.Rule{
		Match: sometimes(40), Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})

	c := newClient(t, gateway.Config{})
	prefix := fresh(t) + "/"
	var open gateway.Txn
	for i := range accounts {
		open.Then = append(open.Then, gateway.OpPut(account(prefix, i), []byte(strconv.Itoa(opening))))
	}
	opened, err := c.Txn(within(t, time.Minute), open)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	kills := 0
	var procs []*process
	for range processes {
		procs = append(procs, start(t, p.URL()+" "+prefix))
	}
	for ctx.Err() == nil {
		rest(ctx, length/5)
		if ctx.Err() == nil {
			i := rand.IntN(processes)
			procs[i].kill()
			kills++
			procs[i] = start(t, p.URL()+" "+prefix)
		}
	}
	for _, proc := range procs {
		proc.end()
	}
	pause(t, within(t, recipetest.Patience), time.Second, "late requests")
	transfers := history(t, c, prefix, opened.Revision)
	figure(t, "%v: %d transfers, %d answers dropped, %d requests late, %d processes killed",
		length, transfers, dropped.Hits(), late.Hits(), kills)
	if transfers < 50 || dropped.Hits() == 0 {
		t.Error("too little happened")
	}
}

// history replays all changes in the order of their revisions, and returns the number of transfers.
func history(t *testing.T, c *gateway.Client, prefix string, opened int64) (transfers int) {
	t.Helper()
	end, err := c.Put(within(t, time.Minute), prefix+"end", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(within(t, time.Minute), prefix, gateway.Prefix(), gateway.AtRevision(opened))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	balance, changed := map[string]int{}, map[string]int64{}
	for resp, err := range w.Responses() {
		if err != nil {
			t.Fatal(err)
		}
		for events := resp.Events; len(events) > 0; {
			revision, n := events[0].KV.ModRevision, 1
			for n < len(events) && events[n].KV.ModRevision == revision {
				n++
			}
			if revision == end.Revision {
				return transfers
			}
			if revision > opened {
				transfers += checkReads(t, events[:n], prefix, changed)
			}
			for _, ev := range events[:n] {
				if strings.HasPrefix(ev.KV.Key, prefix+"account/") {
					balance[ev.KV.Key], err = strconv.Atoi(string(ev.KV.Value))
					changed[ev.KV.Key] = revision
					if err != nil {
						t.Error(err)
					}
				}
			}
			sum := 0
			for _, amount := range balance {
				sum += amount
			}
			if sum != accounts*opening {
				t.Fatalf("revision %d: the sum is %d", revision, sum)
			}
			events = events[n:]
		}
	}
	return 0
}

// checkReads: in the order of the revisions, each transfer has read the last write of its accounts,
// and no copy of it was applied before. Transfers that have shared a request have one revision, and
// no account in common, so their order does not matter. It returns their number.
func checkReads(
	t *testing.T, events []gateway.Event, prefix string, changed map[string]int64,
) (logged int) {
	t.Helper()
	for _, ev := range events {
		if !strings.HasPrefix(ev.KV.Key, prefix+"log/") {
			continue
		}
		logged++
		var read entry
		if err := json.Unmarshal(ev.KV.Value, &read); err != nil {
			t.Error(err)
		}
		for key, revision := range read.Reads {
			if changed[key] != revision {
				t.Errorf("revision %d: %s was read at %d, and had changed at %d",
					ev.KV.ModRevision, key, revision, changed[key])
			}
		}
		if ev.KV.Version != 1 {
			t.Errorf("%s was applied %d times", ev.KV.Key, ev.KV.Version)
		}
	}
	if logged == 0 || len(events) != 3*logged { // two accounts and the log, for each
		t.Errorf("%d changes of one revision, %d in the log", len(events), logged)
	}
	return logged
}

type process struct {
	cmd *exec.Cmd
	in  io.Closer
}

func start(t *testing.T, arg string) *process {
	t.Helper()
	cmd := bank.Command(context.Background(), arg)
	in, err := cmd.StdinPipe() // a process ends when its standard input does
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, in}
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.end()
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
