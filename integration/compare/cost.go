package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// cost is the cost of one operation: the CPU of the client's process and of the servers, in
// microseconds, and the allocations of the client's process. The client's share includes the
// benchmark itself, for both libraries. 0 is unknown.
type cost struct{ client, server, allocs float64 }

// meter measures from its start.
type meter struct {
	etcd   *etcdproc.Cluster
	begin  time.Time
	client time.Duration
	server time.Duration
	allocs uint64
}

func startMeter(etcd *etcdproc.Cluster) meter {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return meter{
		etcd: etcd, begin: time.Now(), client: clientCPU(), server: serverCPU(etcd), allocs: m.Mallocs,
	}
}

// cost returns the cost of each of so many operations since the start.
func (m meter) cost(operations float64) cost {
	now := startMeter(m.etcd)
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / operations }
	allocs := float64(now.allocs-m.allocs) / operations
	return cost{per(now.client - m.client), per(now.server - m.server), allocs}
}

// percent returns the share of one core that the client and the servers have used since the start.
func (m meter) percent() (client, server float64) {
	now := startMeter(m.etcd)
	per := func(d time.Duration) float64 {
		return 100 * d.Seconds() / now.begin.Sub(m.begin).Seconds()
	}
	return per(now.client - m.client), per(now.server - m.server)
}

func clientCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU returns the CPU time of all threads of all members, on Linux. Its source is finer than
// the ticks of /proc/PID/stat. It is right as long as no thread ends, and the threads of a Go
// program do not end.
func serverCPU(etcd *etcdproc.Cluster) (sum time.Duration) {
	for _, m := range etcd.Members() {
		// The pattern is valid, so there is no error.
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", m.PID()))
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			field, _, _ := strings.Cut(string(stat), " ")
			ns, err := strconv.ParseInt(field, 10, 64)
			if err == nil {
				sum += time.Duration(ns)
			}
		}
	}
	return sum
}

// footprint is the memory and the other resources that a process holds.
type footprint struct {
	megabytes   float64 // without garbage
	goroutines  float64
	connections float64
}

func measureFootprint() footprint {
	for range 3 { // values that are pooled or have finalizers survive one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	memory := float64(m.HeapAlloc+m.StackInuse) / 1e6
	return footprint{memory, float64(runtime.NumGoroutine()), sockets()}
}

func (f footprint) since(before footprint) []point {
	return []point{
		{"memory", f.megabytes - before.megabytes, "MB"},
		{"goroutines", f.goroutines - before.goroutines, "-"},
		{"connections", f.connections - before.connections, "-"},
	}
}

// sockets returns how many descriptors of the process are sockets.
func sockets() (n float64) {
	all, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range all {
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

// eventsSent returns how many events the member has sent to watches, by its own count.
func eventsSent(ctx context.Context, etcd *etcdproc.Cluster) (float64, error) {
	const metric = "\netcd_debugging_mvcc_events_total "
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, etcd.Endpoints()[0]+"/metrics",
		http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Close = true // because connections are counted
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(body, []byte(metric))
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return 0, fmt.Errorf("the server does not tell %q", strings.TrimSpace(metric))
	}
	return strconv.ParseFloat(string(value), 64)
}
