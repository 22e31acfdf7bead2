package etcdproc

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

// Cut loses all bytes that one member sends to another, until HealLinks, on the connections of both
// members. It returns an error if the cluster has no Options.PeerLinks.
func (c *Cluster) Cut(from, to *Member) error {
	if from.front == nil || to.front == nil {
		return fmt.Errorf("etcdproc: cut %s from %s: the cluster has no PeerLinks", from.name,
			to.name)
	}
	out, err := to.front.From(from.id)
	if err != nil {
		return err
	}
	back, err := from.front.From(to.id)
	if err != nil {
		return err
	}
	out.Blackhole(faultproxy.Up)
	back.Blackhole(faultproxy.Down)
	return nil
}

// Isolate cuts the links between a member and all others, in both directions. It returns the errors
// of Cut.
func (c *Cluster) Isolate(m *Member) error {
	var errs []error
	for _, other := range c.members {
		if other != m {
			errs = append(errs, c.Cut(m, other), c.Cut(other, m))
		}
	}
	return errors.Join(errs...)
}

// HealLinks ends the effects of Cut and Isolate. It returns an error if a proxy cannot listen
// again.
func (c *Cluster) HealLinks() error {
	var errs []error
	for _, m := range c.members {
		if m.front != nil {
			errs = append(errs, m.front.Heal())
		}
	}
	return errors.Join(errs...)
}

// Slow delivers all that one member sends to another later by a time, until HealLinks. It needs
// Options.PeerLinks.
func (c *Cluster) Slow(from, to *Member, delay time.Duration) error {
	if from.front == nil || to.front == nil {
		return fmt.Errorf("etcdproc: slow %s to %s: the cluster has no PeerLinks", from.name,
			to.name)
	}
	out, err := to.front.From(from.id)
	if err != nil {
		return err
	}
	back, err := from.front.From(to.id)
	if err != nil {
		return err
	}
	out.Delay(faultproxy.Up, delay)
	back.Delay(faultproxy.Down, delay)
	return nil
}
