package etcdproc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const rootUser = "root"

// NewClientV3 returns a client of etcd's own library for the given endpoints, by default all
// members. Tests use it to check holdfast independently. The client is logged in as root if the
// cluster uses authentication. NewClientV3 returns an error if clientv3 does, such as for a refused
// login. The caller closes the client.
func (c *Cluster) NewClientV3(endpoints ...string) (*clientv3.Client, error) {
	return c.newClientV3(c.options.RootPassword, endpoints...)
}

func (c *Cluster) newClientV3(password string, endpoints ...string) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		endpoints = c.given
		for _, m := range c.members {
			endpoints = append(endpoints, m.GRPCEndpoint())
		}
	}
	config := clientv3.Config{
		Endpoints:   endpoints,
		TLS:         c.TLSConfig(),
		DialTimeout: 5 * time.Second,
	}
	if password != "" {
		config.Username, config.Password = rootUser, password
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("etcdproc: connect clientv3: %w", err)
	}
	return client, nil
}

// enableAuth creates the user and the role root and turns authentication on.
func (c *Cluster) enableAuth(ctx context.Context) error {
	client, err := c.newClientV3("")
	if err != nil {
		return err
	}
	_, err = client.RoleAdd(ctx, rootUser)
	if err == nil {
		_, err = client.UserAdd(ctx, rootUser, c.options.RootPassword)
	}
	if err == nil {
		_, err = client.UserGrantRole(ctx, rootUser, rootUser)
	}
	if err == nil {
		_, err = client.AuthEnable(ctx)
	}
	return errors.Join(err, client.Close())
}

// identify reads the id of every member.
func (c *Cluster) identify(ctx context.Context) error {
	client, err := c.newClientV3("")
	if err != nil {
		return err
	}
	for _, m := range c.members {
		status, statusErr := client.Status(ctx, m.GRPCEndpoint())
		if statusErr != nil {
			err = fmt.Errorf("ask %s for its id: %w", m.name, statusErr)
			break
		}
		m.id = status.Header.MemberId
	}
	return errors.Join(err, client.Close())
}

// Leader returns the member that leads the cluster, by its own status and the status of a majority.
// If there is none it waits for one. It returns an error if ctx ends before that.
func (c *Cluster) Leader(ctx context.Context) (*Member, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for {
		if m := c.leaderNow(ctx); m != nil {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("etcdproc: find the leader: %w", context.Cause(ctx))
		case <-time.After(probeInterval):
		}
	}
}

func (c *Cluster) leaderNow(ctx context.Context) *Member {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	type view struct{ leader, term uint64 }
	views := make([]view, len(c.members))
	var asking sync.WaitGroup
	for i, m := range c.members {
		if !m.Running() {
			continue
		}
		asking.Go(func() {
			if status, err := c.status.Status(ctx, m.GRPCEndpoint()); err == nil {
				views[i] = view{status.Leader, status.RaftTerm}
			}
		})
	}
	asking.Wait()
	followers := map[view]int{}
	for _, v := range views {
		followers[v]++
	}
	for i, m := range c.members {
		if views[i].leader == m.id && followers[views[i]] > len(c.members)/2 {
			return m
		}
	}
	return nil
}
