package etcdproc

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// Spare returns a member that is not in the cluster. It can Join after its PeerURL has been added
// to the cluster. Close ends it too, but Members, Endpoints and Leader do not include it. Spare
// returns an error if no port is free.
func (c *Cluster) Spare() (*Member, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &Member{
		cluster: c, name: fmt.Sprintf("m%d", len(c.members)+len(c.spares)),
		binary: c.members[0].binary,
	}
	c.spares = append(c.spares, m)
	if err := m.reserve(); err != nil {
		return nil, fmt.Errorf("etcdproc: spare: %w", err)
	}
	return m, nil
}

// Join starts a spare as one more member beside those that Start made. It does not wait until it is
// healthy, because a learner never becomes healthy. Join returns an error if the old data cannot be
// removed, or Launch fails.
func (m *Member) Join() error {
	var initial []string
	for _, in := range append(m.cluster.Members(), m) {
		initial = append(initial, in.name+"="+in.PeerURL())
	}
	if err := os.RemoveAll(m.dataDir()); err != nil {
		return fmt.Errorf("etcdproc: join %s: %w", m.name, err)
	}
	m.args = append(m.commandLine(strings.Join(initial, ",")), "--initial-cluster-state",
		"existing")
	return m.Launch()
}

// reserve reserves the ports of a member.
func (m *Member) reserve() error {
	wanted := []**ports.Port{&m.clientPort, &m.peerPort}
	if m.cluster.options.HTTPPort {
		wanted = append(wanted, &m.grpcPort)
	}
	var errs []error
	for _, p := range wanted {
		var err error
		*p, err = ports.Reserve()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
