package etcdproc

import (
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

// Cut loses all that one member sends to another, until HealLinks: what it says on the connections it made, and on those
// the other one made. It needs Options.PeerLinks.
func (c *Cluster) Cut(from, to *Member) error {
	if from.front == nil || to.front == nil {
		return fmt.Errorf("etcdproc: cut %s from %s: the cluster has no PeerLinks", from.name, to.name)
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

// Isolate cuts a member off from all others, in both directions.
func (c *Cluster) Isolate(m *Member) error {
	var errs []error
	for _, other := range c.members {
		if other != m {
			errs = append(errs, c.Cut(m, other), c.Cut(other, m))
		}
	}
	return errors.Join(errs...)
}

// HealLinks ends what Cut and Isolate did.
func (c *Cluster) HealLinks() error {
	var errs []error
	for _, m := range c.members {
		if m.front != nil {
			errs = append(errs, m.front.Heal())
		}
	}
	return errors.Join(errs...)
}
