package election_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/session"
)

// candidate is a program that campaigns and prints its term. It ends when the term is lost, when it
// reads the line "resign", or at the end of its standard input.
var candidate = reexec.Register("candidate", func(l life) int {
	say := func(what ...any) { _, _ = fmt.Fprintln(os.Stdout, what...) }
	if err := l.lead(say); err != nil {
		say("error", err)
		return 1
	}
	return 0
})

type life struct {
	Endpoint, Name string
	Lease          string // to resume; empty for a first life
}

func (l life) lead(say func(...any)) error {
	c, err := gateway.New(gateway.Config{Endpoints: []string{l.Endpoint}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var s *session.Session
	var term *election.Term
	if l.Lease == "" {
		if s, err = session.New(ctx, c, nil); err == nil {
			term, err = election.New(s, l.Name, nil).Campaign(ctx, "first life")
		}
	} else {
		var id int64
		if id, err = strconv.ParseInt(l.Lease, 16, 64); err == nil {
			s, err = session.Resume(ctx, c, gateway.LeaseID(id), nil)
		}
		if err == nil {
			term, err = election.New(s, l.Name, nil).Resume(ctx)
		}
		if err == nil {
			err = term.Proclaim(ctx, "second life")
		}
	}
	if err != nil {
		return err
	}
	say("leads", s.Lease(), term.Fence(), term.Key())
	orders := make(chan string)
	go func() {
		defer close(orders)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			orders <- in.Text()
		}
	}()
	select {
	case <-term.Context().Done():
		say("lost", errors.Is(context.Cause(term.Context()), session.ErrResumedElsewhere))
		if err := s.Close(ctx); err != nil {
			return err
		}
		say("closed")
	case order := <-orders:
		if order == "resign" {
			if err := errors.Join(term.Resign(ctx), s.Close(ctx)); err != nil {
				return err
			}
			say("resigned")
		}
	}
	return nil
}

// program is a child process of the test.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProgram(t *testing.T, c *etcdtest.Cluster, name, lease string) *program {
	t.Helper()
	p := &program{cmd: candidate.Command(t.Context(), life{c.Endpoints()[0], name, lease})}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.out = bufio.NewReader(out)
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already if the test passed
		_ = p.cmd.Wait()
	})
	return p
}

// says returns the rest of the next line, which must begin with the word.
func (p *program) says(t *testing.T, word string) []string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) == 0 || words[0] != word {
		t.Fatalf("the process says %q, %v, not %q", line, err, word)
	}
	return words[1:]
}

// shown collects the values that clientv3 sees of the leader, until the end of the test.
type shown struct {
	mu     sync.Mutex
	values []string
}

func (s *shown) get() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

func showWithClientV3(t *testing.T, theirs *concurrency.Session, name string) *shown {
	t.Helper()
	s, done := &shown{}, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for resp := range concurrency.NewElection(theirs, name).Observe(ctx) {
			s.mu.Lock()
			s.values = append(s.values, string(resp.Kvs[0].Value))
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// historyOf returns the events of a key up to its deletion.
func historyOf(t *testing.T, c *clientv3.Client, key string) (events []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, recipetest.Patience))
	defer cancel()
	for resp := range c.Watch(ctx, key, clientv3.WithRev(1)) {
		if err := resp.Err(); err != nil {
			t.Fatal(err)
		}
		for _, ev := range resp.Events {
			events = append(events, strings.TrimSpace(ev.Type.String()+" "+string(ev.Kv.Value)))
			if ev.Type == clientv3.EventTypeDelete {
				return events
			}
		}
	}
	t.Fatal("the watch has ended")
	return nil
}

// TestAKilledLeaderLeadsAgainWithTheSameFence: a leader that is killed and started again still
// leads, with the same fence and key. A candidate of clientv3 behind it leads when it resigns.
func TestAKilledLeaderLeadsAgainWithTheSameFence(t *testing.T) {
	t.Parallel()
	recipetest.ForEachServer(t, func(t *testing.T, c *etcdtest.Cluster) {
		name := fresh(t)
		client := c.ClientV3(t)
		theirs, err := concurrency.NewSession(client)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := theirs.Close(); err != nil {
				t.Error(err)
			}
		})
		direct := newClient(t, gateway.Config{Endpoints: c.Endpoints()})
		ours := observe(t, newSession(t, direct, nil), name)

		first := startProgram(t, c, name, "")
		before := first.says(t, "leads")
		lease, key := before[0], before[2]
		their := concurrency.NewElection(theirs, name)
		seen := showWithClientV3(t, theirs, name)
		led := make(chan error, 1)
		go func() { led <- their.Campaign(within(t, time.Minute), "theirs") }()
		eventually(t, "join", func() bool { return len(members(t, direct, name)) == 2 })
		eventually(t, "clientv3 to see the leader", func() bool { return len(seen.get()) == 1 })
		ours.until(t, "first life")

		if err := first.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = first.cmd.Wait()
		begin := time.Now()
		second := startProgram(t, c, name, lease)
		if after := second.says(t, "leads"); !slices.Equal(after, before) {
			t.Errorf("leads with lease, fence and key %v, before %v", after, before)
		}
		figure(t, "leads again %v after the kill", time.Since(begin).Round(time.Millisecond))

		// The remaining time of the lease grows only if the program renews it.
		id, err := strconv.ParseInt(lease, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		left := func() time.Duration {
			info, err := direct.TimeToLive(within(t, recipetest.Patience), gateway.LeaseID(id),
				false)
			if err != nil {
				t.Fatal(err)
			}
			return info.TTL
		}
		was := left()
		eventually(t, "renewal", func() bool {
			now := left()
			grown := now > was
			was = now
			return grown
		})
		// The note of the resumed term puts the first value again, unless it has changed before.
		eventually(t, "clientv3 to see the second life", func() bool {
			return len(slices.Compact(seen.get())) == 2
		})
		if got := ours.until(t, "second life"); len(got) != 1 {
			t.Errorf("the observer saw %q in between", got)
		}
		select {
		case err := <-led:
			t.Fatalf("clientv3's candidate leads: %v", err)
		default:
		}

		if _, err := fmt.Fprintln(second.in, "resign"); err != nil {
			t.Fatal(err)
		}
		if err := <-led; err != nil {
			t.Fatal(err)
		}
		second.says(t, "resigned")
		eventually(t, "clientv3 to see its own", func() bool {
			return slices.Contains(seen.get(), "theirs")
		})
		if got, want := slices.Compact(seen.get()), []string{
			"first life", "second life",
			"theirs",
		}; !slices.Equal(got, want) {
			t.Errorf("clientv3 saw %q, want %q", got, want)
		}
		if got := ours.until(t, "theirs"); len(got) != 1 {
			t.Errorf("the observer saw %q in between", got)
		}
		if got, want := slices.Compact(historyOf(t, client, key)), []string{
			"PUT first life", "PUT second life",
			"DELETE",
		}; !slices.Equal(got, want) {
			t.Errorf("the leader's key: %q, want %q", got, want)
		}
		if err := their.Resign(within(t, recipetest.Patience)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestResumeOfTheLiving: when the session of a live leader is resumed, the earlier process ends its
// term and does not delete the leader's key.
func TestResumeOfTheLiving(t *testing.T) {
	name := fresh(t)
	old := startProgram(t, cluster.Cluster, name, "")
	before := old.says(t, "leads")
	id, err := strconv.ParseInt(before[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, gateway.Config{})
	s, err := session.Resume(within(t, recipetest.Patience), c, gateway.LeaseID(id), nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	term, err := election.New(s, name, nil).Resume(within(t, recipetest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if got := old.says(t, "lost"); got[0] != "true" {
		t.Errorf("it ended, but not because it was taken over: %v", got)
	}
	figure(t, "the earlier life ends %v after the takeover",
		time.Since(begin).Round(time.Millisecond))
	old.says(t, "closed")
	if err := term.Proclaim(within(t, recipetest.Patience), "lives"); err != nil ||
		fmt.Sprint(term.Fence()) != before[1] {
		t.Errorf("Proclaim = %v, fence %d, before %v", err, term.Fence(), before)
	}
	resign(t, term)
}
