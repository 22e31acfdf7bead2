// Package explain finds out why calls at a name wait. The recipes' methods Explain use it.
//
// It reads etcd when it is called, and at no other time: the line or the queue in one request, and
// then the sessions of the holders and their leases.
//
// # Concurrency
//
// All functions are safe for concurrent use.
package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// lookedUp is the number of holders whose sessions and leases are read.
const lookedUp = 10

// Line explains a line. more returns the needs of the recipe; own is the index of the session's
// first waiting member, or the number of members. Returns
// [gateway.ErrInvalid] when the line's name is not allowed, and else the error of the request.
func Line(
	ctx context.Context, l *line.Line, more func(v line.Standing, own int) []string,
) (*session.Explanation, error) {
	return Lines(ctx, []*line.Line{l}, more)
}

// Lines is [Line] for a call that waits for all of several lines of one session.
func Lines(
	ctx context.Context, lines []*line.Line, more func(v line.Standing, own int) []string,
) (*session.Explanation, error) {
	standings, err := line.Standings(ctx, lines)
	if err != nil {
		return nil, err
	}
	out := &session.Explanation{Revision: standings[0].Revision}
	first := make([]int, len(lines)+1) // the index of the first holder of each line
	for i, v := range standings {
		for _, m := range v.Members[:min(v.Admitted, lookedUp)] {
			owner, _ := core.OwnerOf(m.Value)
			out.Holders = append(out.Holders, session.Holder{
				Key: m.Key, Lease: v.Under[m.Key], Fence: m.Fence, Detached: owner.Detached,
			})
		}
		first[i+1] = len(out.Holders)
	}
	if err := LookUp(ctx, lines[0].Session, out.Holders); err != nil {
		return nil, err
	}
	for i, v := range standings {
		add(out, lines[i], v, out.Holders[first[i]:first[i+1]], more)
	}
	return out, nil
}

// add adds the needs of one line.
func add(
	out *session.Explanation, l *line.Line, v line.Standing, holders []session.Holder,
	more func(v line.Standing, own int) []string,
) {
	own := len(v.Members)
	for i := v.Admitted; i < len(v.Members); i++ {
		if m := v.Members[i]; m.Lease() == l.Session.Lease() {
			own, out.Key = i, cmp.Or(out.Key, m.Key)
			break
		}
	}
	var needs []string
	if more != nil {
		needs = more(v, own)
	}
	if v.Admitted > 0 && (l.Kind != "semaphore" || len(needs) > 0) {
		needs = append(needs, Needs(holders)...)
	}
	for _, m := range v.Members[v.Admitted:own] {
		if v.Under[m.Key] == 0 {
			needs = append(needs, unleased(m.Key))
		}
	}
	if ahead := own - v.Admitted; ahead > 0 {
		out.Ahead += ahead
		needs = append(needs,
			fmt.Sprintf("%d that wait ahead have their turn first", ahead))
	}
	out.Needs = append(out.Needs, needs...)
}

// LookUp fills in the sessions and the leases of holders, as far as the user may read them. Returns
// the error of a request that failed.
func LookUp(ctx context.Context, s *core.Session, holders []session.Holder) error {
	var leases []gateway.LeaseID
	for _, h := range holders {
		if h.Lease != 0 && !slices.Contains(leases, h.Lease) {
			leases = append(leases, h.Lease)
		}
	}
	infos, err := s.SessionInfos(ctx, leases...)
	if err != nil && !errors.Is(err, gateway.ErrPermissionDenied) {
		return err
	}
	for i := range holders {
		h := &holders[i]
		if info, ok := infos[h.Lease]; ok {
			h.Session = (*session.Info)(&info)
		}
		if h.Lease == 0 {
			continue
		}
		lease, err := s.Client().TimeToLive(ctx, h.Lease, false)
		switch {
		case errors.Is(err, gateway.ErrLeaseNotFound): // it ended after the first read
			h.Suspect = !h.Detached
		case errors.Is(err, gateway.ErrPermissionDenied):
		case err != nil:
			return err
		default:
			h.TTL, h.Left = lease.GrantedTTL, lease.TTL
			h.Suspect = !h.Detached && lease.TTL < lease.GrantedTTL/2
		}
	}
	return nil
}

// Needs returns for each holder the sentence that says how its hold can end.
func Needs(holders []session.Holder) (needs []string) {
	for i := range holders {
		needs = append(needs, need(&holders[i]))
	}
	return needs
}

func need(h *session.Holder) string {
	if h.Lease == 0 {
		return unleased(h.Key)
	}
	if h.Detached {
		text := h.Key + ", held by nobody: the lock is detached, has to be released by its token"
		if h.TTL > 0 {
			text += fmt.Sprintf("; else its lease ends in %v", h.Left)
		}
		return text
	}
	owner := "another library"
	if h.Session != nil {
		owner = h.Session.String()
	}
	text := fmt.Sprintf("%s, held by %s", h.Key, owner)
	if h.Session != nil && !h.Session.Started.IsZero() {
		text += " of a session since " + h.Session.Started.Format(time.RFC3339)
	}
	switch {
	case h.Suspect:
		return fmt.Sprintf("%s, has to be released; it has not renewed its lease for %v, "+
			"which ends in %v", text, h.TTL-h.Left, h.Left)
	case h.TTL > 0:
		return fmt.Sprintf("%s, has to be released; it renewed its lease %v ago",
			text, h.TTL-h.Left)
	}
	return text + ", has to be released"
}

func unleased(key string) string {
	return key + " has no lease and stays until it is deleted, for example by holdfast break"
}
