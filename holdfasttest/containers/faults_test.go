package containers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest/containers"
)

// faults are the faults of a node with their inverses.
var faults = []struct {
	name        string
	begin, heal func(*containers.Node)
}{
	{"paused", (*containers.Node).Pause, (*containers.Node).Unpause},
	{"cut off", (*containers.Node).Cut, (*containers.Node).Rejoin},
	{"stopped", (*containers.Node).Stop, (*containers.Node).Start},
}

// TestAFaultIsOfOneNodeUntilItsInverse: a node with a fault serves nothing, the others serve
// meanwhile, and afterwards it serves at its endpoint as before, with the data.
func TestAFaultIsOfOneNodeUntilItsInverse(t *testing.T) {
	needEngine(t)
	etcd := containers.Start(t, &containers.Options{Nodes: 3})
	endpoints := etcd.Endpoints()
	all := etcd.Client()
	for i, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			n := etcd.Node(i)
			fault.begin(n)
			if _, err := get(t, time.Second, n.Endpoint()); err == nil {
				t.Error("the node answers")
			}
			err := gateway.ErrUncertain // of a put that a leader took with it
			for errors.Is(err, gateway.ErrUncertain) {
				_, err = all.Put(t.Context(), "job", []byte(fault.name))
			}
			if err != nil {
				t.Errorf("the other nodes: %v", err)
			}
			begin := time.Now()
			fault.heal(n)
			n.WaitHealthy()
			t.Logf("figure: a node that was %s served after %v", fault.name,
				time.Since(begin).Round(time.Millisecond))
			if got, err := get(t, time.Minute, n.Endpoint()); err != nil || got != fault.name {
				t.Errorf("it answers %q, %v", got, err)
			}
			if got := etcd.Endpoints(); !slices.Equal(got, endpoints) {
				t.Errorf("endpoints %q, before %q", got, endpoints)
			}
		})
	}
}

// TestATestMayLeaveItsNodesBroken ends three tests during a fault.
func TestATestMayLeaveItsNodesBroken(t *testing.T) {
	needEngine(t)
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			etcd := containers.Start(t, nil)
			etcd.Session(nil)
			fault.begin(etcd.Node(0))
		})
	}
}

// get reads the key of the test from one endpoint.
func get(t *testing.T, within time.Duration, endpoint string) (string, error) {
	t.Helper()
	c, err := gateway.New(gateway.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	resp, err := c.Get(ctx, "job")
	if err != nil {
		return "", err
	}
	if len(resp.KVs) == 0 {
		return "", fmt.Errorf("no key at revision %d", resp.Revision)
	}
	return string(resp.KVs[0].Value), nil
}
