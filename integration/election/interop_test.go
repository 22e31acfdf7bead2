package election_test

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// newConcurrency returns a session of clientv3.
func newConcurrency(tb testing.TB) *concurrency.Session {
	tb.Helper()
	s, err := concurrency.NewSession(cluster.ClientV3(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// eachName runs a test with a name, and with a name that ends in a slash, as in the documentation
// of clientv3.
func eachName(t *testing.T, test func(t *testing.T, name string)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, fresh(t)) })
	t.Run("slash", func(t *testing.T) { test(t, fresh(t)+"/") })
}

// TestClientV3AndThisLibraryWaitForEachOther: candidates of clientv3 and of this library wait for
// each other, and observers of both see both.
func TestClientV3AndThisLibraryWaitForEachOther(t *testing.T) { eachName(t, withClientV3) }

func withClientV3(t *testing.T, name string) {
	t.Helper()
	ctx := within(t, time.Minute)
	s, theirs := plain(t), newConcurrency(t)
	their := concurrency.NewElection(theirs, name)
	o := observe(t, plain(t), name)
	o.until(t, "-")

	if err := their.Campaign(ctx, "theirs"); err != nil {
		t.Fatal(err)
	}
	o.until(t, "theirs")
	want := election.Leader{
		Key: their.Key(), Lease: gateway.LeaseID(theirs.Lease()),
		Fence: their.Rev(), Value: "theirs",
	}
	got, err := election.New(s, name, nil).Leader(ctx)
	if got.Revision = 0; err != nil || got != want {
		t.Errorf("Leader = %+v, %v, want %+v", got, err, want)
	}
	w := goCampaign(t, ctx, s, name, "ours", 2)
	all, err := election.New(s, name, nil).Candidates(ctx)
	if err != nil || len(all) != 2 || all[0].Session != nil || all[0].Value != "theirs" ||
		all[1].Session == nil || all[1].Value != "ours" {
		t.Errorf("Candidates = %+v, %v", all, err)
	}
	if err := their.Proclaim(ctx, "theirs, too"); err != nil {
		t.Fatal(err)
	}
	o.until(t, "theirs, too")
	select {
	case <-w.done:
		t.Fatal("ours leads while theirs does")
	default:
	}
	if err := their.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	term := w.wait(t)
	o.until(t, "ours")

	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	theyObserve := concurrency.NewElection(theirs, name).Observe(watching)
	expect := func(value string) {
		t.Helper()
		resp, ok := <-theyObserve
		if !ok || string(resp.Kvs[0].Value) != value || string(resp.Kvs[0].Key) != term.Key() {
			t.Errorf("clientv3's Observe: %v, %v, want %q", resp, ok, value)
		}
	}
	expect("ours")
	led := make(chan error)
	go func() { led <- their.Campaign(ctx, "theirs again") }()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	if err := term.Proclaim(ctx, "ours, too"); err != nil {
		t.Fatal(err)
	}
	expect("ours, too")
	if resp, err := concurrency.NewElection(theirs, name).Leader(ctx); err != nil ||
		string(resp.Kvs[0].Value) != "ours, too" || resp.Kvs[0].CreateRevision != term.Fence() {
		t.Errorf("clientv3's Leader: %v, %v", resp, err)
	}
	select {
	case err := <-led:
		t.Fatalf("theirs leads while ours does: %v", err)
	default:
	}
	resign(t, term)
	if err := <-led; err != nil {
		t.Fatal(err)
	}
	o.until(t, "theirs again")
	if err := their.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	o.until(t, "-")
	if _, err := concurrency.NewElection(theirs, name).Leader(ctx); err == nil {
		t.Error("clientv3 sees a leader where there is none")
	}
}

// TestTransferToDoesNotMoveCandidatesOfClientV3: clientv3's candidates do not step aside. The
// leader still leads, and they lead in their order.
func TestTransferToDoesNotMoveCandidatesOfClientV3(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	s, name := plain(t), fresh(t)
	term := campaign(t, s, name, "ours")
	their := concurrency.NewElection(newConcurrency(t), name)
	led := make(chan error)
	go func() { led <- their.Campaign(ctx, "theirs") }()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	w := goCampaign(t, ctx, plain(t), name, "chosen", 3)
	all, err := election.New(s, name, nil).Candidates(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stepped, short := make(chan error), within(t, 2*time.Second)
	go func() { stepped <- term.TransferTo(short, all[2]) }()
	eventually(t, "name the heir", func() bool {
		resp, err := s.Client().Get(ctx, name+"//heir")
		return err == nil && len(resp.KVs) == 1
	})
	// waits also until the heir's name is deleted
	late := concurrency.NewElection(newConcurrency(t), name)
	lateLed := make(chan error)
	go func() { lateLed <- late.Campaign(ctx, "late") }()
	if resp, err := their.Leader(ctx); err != nil || string(resp.Kvs[0].Value) != "ours" {
		t.Errorf("clientv3's Leader: %v, %v", resp, err)
	}
	if err := <-stepped; !errors.Is(err, context.DeadlineExceeded) || term.Err() != nil {
		t.Errorf("TransferTo = %v, term %v", err, term.Err())
	}
	resign(t, term)
	if err := <-led; err != nil {
		t.Fatal(err)
	}
	if err := their.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	resign(t, w.wait(t))
	if err := <-lateLed; err != nil {
		t.Fatal(err)
	}
	if err := late.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if left := members(t, s.Client(), name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCandidatesOfBothLibrariesLeadInTurn: candidates of clientv3 and of this library lead in turn.
func TestCandidatesOfBothLibrariesLeadInTurn(t *testing.T) {
	ctx := within(t, time.Minute)
	name := fresh(t)
	o := observe(t, plain(t), name)
	var inside, ours, others int
	lead := func(n *int) {
		if inside++; inside != 1 {
			t.Errorf("%d lead", inside)
		}
		*n++
		inside--
	}
	var all sync.WaitGroup
	for range 3 {
		s, theirs := plain(t), newConcurrency(t)
		all.Go(func() {
			for range 15 {
				term := campaign(t, s, name, "ours")
				lead(&ours)
				resign(t, term)
			}
		})
		all.Go(func() {
			e := concurrency.NewElection(theirs, name)
			for range 15 {
				if err := e.Campaign(ctx, "theirs"); err != nil {
					t.Error(err)
					return
				}
				lead(&others)
				if err := e.Resign(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if ours != 45 || others != 45 {
		t.Errorf("%d terms of ours, %d of clientv3's", ours, others)
	}
	last := campaign(t, plain(t), name, "last")
	o.until(t, "last")
	resign(t, last)
}

// TestEtcdctlAndThisLibraryWaitForEachOther: etcdctl elect and candidates of this library wait for
// each other, and each shows the other's value.
func TestEtcdctlAndThisLibraryWaitForEachOther(t *testing.T) { eachName(t, withEtcdctl) }

func withEtcdctl(t *testing.T, name string) {
	t.Helper()
	bin, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	s := plain(t)
	start := func(args ...string) (cmd *exec.Cmd, next func(want string)) {
		cmd = exec.CommandContext(t.Context(), bin,
			append([]string{"--endpoints", cluster.Endpoints()[0], "elect"}, args...)...)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		return cmd, func(want string) {
			t.Helper()
			if got, err := out.ReadString('\n'); err != nil ||
				strings.TrimSuffix(got, "\n") != want {
				t.Fatalf("etcdctl says %q, %v, want %q", got, err, want)
			}
		}
	}
	end := func(cmd *exec.Cmd) {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // etcdctl's status does not matter
	}
	o := observe(t, s, name)

	term := campaign(t, s, name, "ours")
	listener, hears := start("-l", name)
	hears(term.Key())
	hears("ours")
	ctl, says := start(name, "theirs")
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	if err := term.Proclaim(t.Context(), "ours, too"); err != nil {
		t.Fatal(err)
	}
	hears(term.Key())
	hears("ours, too")
	if leader, err := election.New(s, name, nil).Leader(t.Context()); err != nil ||
		leader.Fence != term.Fence() {
		t.Errorf("Leader = %+v, %v", leader, err)
	}
	resign(t, term)
	o.until(t, "theirs")
	leader, err := election.New(s, name, nil).Leader(t.Context())
	if err != nil || leader.Value != "theirs" || leader.Fence <= term.Fence() {
		t.Errorf("Leader = %+v, %v", leader, err)
	}
	for _, next := range []func(string){says, hears} {
		next(leader.Key)
		next("theirs")
	}
	w := goCampaign(t, t.Context(), s, name, "ours again", 2)
	recipetest.Marked(t, s.Client())
	select {
	case <-w.done:
		t.Fatal("ours leads while etcdctl does")
	default:
	}
	end(ctl)
	last := w.wait(t)
	hears(last.Key())
	hears("ours again")
	o.until(t, "ours again")
	resign(t, last)
	end(listener)
}
