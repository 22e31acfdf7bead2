package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Sync replaces the endpoints according to the member list of the cluster: new members are used
// from now on, removed members no longer. Call it from time to time, every few minutes say.
//
// Members need not advertise a URL that speaks HTTP: with etcd's --listen-client-http-urls the
// gateway has a port of its own, which the list does not show. So a new endpoint is added only if
// it answers as a gateway of this cluster. A configured endpoint is removed only if the member that
// answers there, or did last, is not in the list. An address that reaches a member already is
// preferred to the advertised one. Learners are left out, and so are endpoints that would receive
// the password in plain text without AllowPlaintextAuth.
//
// Returns the error of [Cluster.MemberList], the context's error when ctx ends, and ErrUnavailable
// when no endpoint answers. The endpoints are unchanged after an error, or if SetEndpoints is
// called meanwhile.
func (c *Client) Sync(ctx context.Context) error {
	const op = "sync"
	list, err := c.Cluster().MemberList(ctx)
	if err != nil {
		return err
	}
	ctx, _, leave, err := c.visit(ctx, op, "")
	if err != nil {
		return err
	}
	defer leave()
	select {
	case c.syncing <- struct{}{}:
		defer func() { <-c.syncing }()
	case <-ctx.Done():
		return c.ended(ctx, &call{op: op}, nil)
	}
	known := c.eps.inOrder()
	found := newSurvey(list.Members)
	probes := append(slices.Clone(known), c.candidates(list.Members, known)...)
	seen := make([]uint64, len(probes)) // the member that answers there; 0: none does
	var asking sync.WaitGroup
	for i, ep := range probes {
		asking.Go(func() { seen[i] = c.whoAnswers(ctx, ep, list.ClusterID) })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return c.ended(ctx, &call{op: op}, nil)
	}
	for i, ep := range probes {
		if i < len(known) && found.keeps(ep, seen[i]) || i >= len(known) && found.takes(seen[i]) {
			found.list = append(found.list, ep)
			found.reached[seen[i]] = true
		}
	}
	if len(found.list) == 0 {
		return &Error{Op: op, Code: CodeUnavailable, Message: "no endpoint of a member answers"}
	}
	if !c.eps.replaceOld(known, found.list) {
		return nil // SetEndpoints was called meanwhile and is newer
	}
	c.log.Debug("endpoints_synced",
		"before", len(known), "after", len(found.list), "asked", len(probes))
	return nil
}

// SetEndpoints replaces the endpoints of the client. Calls in flight at the old ones continue.
// Watches move to the new ones and miss no event. The state of endpoints that stay is kept.
// Endpoints must be https if the endpoints of [New] were, and must not be if they were not. Returns
// ErrInvalid when an endpoint cannot be used, and ErrClosed when the client is closed; the
// endpoints are then unchanged. It does no I/O.
func (c *Client) SetEndpoints(urls ...string) error {
	const op = "set endpoints"
	if c.ctx.Err() != nil {
		return &Error{Op: op, cause: ErrClosed}
	}
	urls, err := parseEndpoints(urls)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Op = op
		}
		return err
	}
	for _, url := range urls {
		if why := c.cfg.excludes(url); why != "" {
			return invalid(op, "endpoint %s: %s", url, why)
		}
	}
	began := time.Now()
	gone := c.eps.set(urls, c.cfg.APIPrefix)
	for _, ep := range gone {
		// A time in the future, so that the watches leave even a stream that advances.
		c.hub.leave(ep, began.Add(time.Hour))
	}
	if c.own != nil && len(gone) > 0 {
		c.own.CloseIdleConnections()
	}
	return nil
}

// survey decides which endpoints remain after a Sync.
type survey struct {
	members    map[uint64]bool
	advertised map[string]bool
	reached    map[uint64]bool
	list       []*endpoint
}

func newSurvey(members []Member) *survey {
	s := &survey{
		members: map[uint64]bool{}, advertised: map[string]bool{}, reached: map[uint64]bool{},
	}
	for _, m := range members {
		s.members[m.ID] = true
		for _, raw := range m.ClientURLs {
			if url, err := parseEndpoint(raw); err == nil {
				s.advertised[url] = true
			}
		}
	}
	return s
}

// keeps reports whether an endpoint stays. One that does not answer now may do so later.
func (s *survey) keeps(ep *endpoint, seen uint64) bool {
	if seen == 0 {
		seen = ep.member.Load()
	}
	return seen == 0 || s.members[seen] || s.advertised[ep.url]
}

func (s *survey) takes(seen uint64) bool { return s.members[seen] && !s.reached[seen] }

// candidates returns the advertised endpoints that the client does not know yet and may use.
func (c *Client) candidates(members []Member, known []*endpoint) (list []*endpoint) {
	has := func(url string) bool {
		return slices.ContainsFunc(slices.Concat(known, list), func(ep *endpoint) bool {
			return ep.url == url
		})
	}
	for _, m := range members {
		if m.IsLearner {
			continue
		}
		for _, raw := range m.ClientURLs {
			url, err := parseEndpoint(raw)
			if err == nil && !has(url) && c.cfg.excludes(url) == "" {
				list = append(list, newEndpoint(url, c.cfg.APIPrefix))
			}
		}
	}
	return list
}

// whoAnswers returns the member of a cluster that answers at an endpoint, or 0.
func (c *Client) whoAnswers(ctx context.Context, ep *endpoint, cluster uint64) (member uint64) {
	r := memberListCall("sync", true)
	err := prepare(r, wireMemberList{}, func(a *wireMembers) (etcdjson.Header, error) {
		if uint64(a.Header.ClusterID) == cluster {
			member = uint64(a.Header.MemberID)
		}
		return a.Header, nil
	})
	if err == nil {
		err = c.at(ctx, ep, r)
	}
	if err != nil {
		c.log.Debug("endpoint_does_not_answer", "endpoint", ep.url, "err", err)
		return 0
	}
	return member
}
