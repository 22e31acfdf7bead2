package shard_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// fleetMembers is the number of processes of the large fleet.
const fleetMembers = 10

// fleetTTL is long enough for a busy machine, because a session that is lost moves shards.
const fleetTTL = 10 * time.Second

// TestLargeFleet measures a fleet of ten processes: HOLDFAST_SHARD_FLEET is the number of shards.
// It checks the processor time at rest, the streams, a death, a planned leave and the moves of a
// rolling restart.
func TestLargeFleet(t *testing.T) {
	t.Parallel()
	n, err := strconv.Atoi(os.Getenv("HOLDFAST_SHARD_FLEET"))
	if err != nil {
		t.Skip("set HOLDFAST_SHARD_FLEET=1024 for the large fleet")
	}
	f := &fleet{t: t, group: fresh(t), n: n, procs: map[string]*child{}, quiet: true, ttl: fleetTTL}
	defer f.kill()
	c := cluster.NewClient(t, gateway.Config{})
	before := streams(t)
	var ids []string
	for i := range fleetMembers {
		ids = append(ids, fmt.Sprintf("m%d", i))
		f.start(ids[i])
	}
	began := time.Now()
	owners(t, c, f.group, n, ids...)
	figure(t, "%d shards led %v after the start of %d processes", n, time.Since(began), fleetMembers)
	each := float64(streams(t)-before-1) / fleetMembers // one is the test's own
	figure(t, "%.1f watch streams a process", each)
	if each > 2 {
		t.Errorf("%.1f streams a process, want at most 2", each)
	}

	time.Sleep(5 * time.Second) //nolint:forbidigo // the moves of the start are over
	const rest = 20 * time.Second
	used := map[string]time.Duration{}
	for id, p := range f.procs {
		used[id] = processorTime(t, p.Process.Pid)
	}
	time.Sleep(rest) //nolint:forbidigo // the time that is measured
	var shares []float64
	for id, p := range f.procs {
		shares = append(shares, 100*float64(processorTime(t, p.Process.Pid)-used[id])/float64(rest))
	}
	slices.Sort(shares)
	figure(t, "processor time at rest: median %.2f %%, most %.2f %%", shares[len(shares)/2],
		shares[len(shares)-1])
	if shares[len(shares)/2] > 1 {
		t.Errorf("%.2f %% of a processor at rest, want at most 1 %%", shares[len(shares)/2])
	}

	at := time.Now()
	f.end("m3", syscall.SIGKILL)
	owners(t, c, f.group, n, without(ids, "m3")...)
	took := time.Since(at)
	figure(t, "all shards led %v after kill -9, TTL %v", took, fleetTTL)
	if took > fleetTTL+2*time.Second {
		t.Errorf("led again after %v, want at most TTL + 2 s", took)
	}
	f.start("m3")
	owners(t, c, f.group, n, ids...)

	at = time.Now()
	f.end("m5", syscall.SIGTERM)
	owners(t, c, f.group, n, without(ids, "m5")...)
	gaps := f.gaps(at)
	figure(t, "%d shards handed over: gaps median %v, max %v", len(gaps), gaps[len(gaps)/2],
		gaps[len(gaps)-1])
	if gaps[len(gaps)/2] > 20*time.Millisecond {
		t.Errorf("a median gap of %v, want at most 20 ms", gaps[len(gaps)/2])
	}
	f.start("m5")
	owners(t, c, f.group, n, ids...)

	at = time.Now()
	for _, id := range ids {
		f.end(id, syscall.SIGTERM)
		f.start(id)
		owners(t, c, f.group, n, ids...)
	}
	moves := f.starts(at)
	counts := map[int]int{}
	for _, m := range moves {
		counts[m]++
	}
	most := slices.Max(moves)
	figure(t, "a rolling restart in %v: shards by the number of their moves %v", time.Since(at),
		counts)
	if most > 3 {
		t.Errorf("a shard moved %d times in a rolling restart, want at most 3", most)
	}
}

func without(ids []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id })
}

// starts returns the number of starts of each shard since a time.
func (f *fleet) starts(since time.Time) []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := make([]int, f.n)
	for _, m := range f.messages {
		if m.Start && m.At > since.UnixNano() {
			n[m.Shard]++
		}
	}
	return n
}

// processorTime returns the processor time that a process has used.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // of a clock with 100 Hz
}

// streams returns the number of watch streams at the server.
func streams(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(cluster.Endpoints()[0] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), "etcd_debugging_mvcc_watch_stream_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatal("no metric of streams")
	return 0
}
