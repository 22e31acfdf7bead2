package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// endpoints checks each endpoint. It returns an error if etcd does not answer at any.
func (d *doctor) endpoints(ctx context.Context) error {
	versions := map[string]bool{}
	for _, ep := range d.app.client.Endpoints() {
		if version, ok := d.endpoint(ctx, ep.URL); ok {
			versions[version] = true
		}
	}
	if len(versions) == 0 {
		return d.app.ping(ctx)
	}
	d.watch(ctx)
	if len(versions) > 1 {
		d.note("versions", "members run different ones: %s",
			strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
	}
	return nil
}

// endpoint checks one endpoint and returns the version of etcd there.
func (d *doctor) endpoint(ctx context.Context, url string) (version string, ok bool) {
	ctx, cancel := d.app.bounded(ctx)
	defer cancel()
	began := time.Now()
	s, err := d.app.client.Member(url).Status(ctx)
	if err != nil {
		d.wrong("endpoint", "%s: %s", url, reason(err))
		return "", false
	}
	d.ok("endpoint", "%s: etcd %s, %s, database %d MiB, answers in %v",
		url, s.Version, role(s), s.DBSize>>20, time.Since(began).Round(100*time.Microsecond))
	for _, e := range s.Errors {
		d.wrong("endpoint", "%s says: %s", url, e)
	}
	d.clock(ctx, url)
	return s.Version, true
}

// watch opens a watch and reports the watch mode of each endpoint.
func (d *doctor) watch(ctx context.Context) {
	ctx, cancel := d.app.bounded(ctx)
	defer cancel()
	c := d.app.client
	// Users of the recipes may read this key, and it never exists.
	w, err := c.Watch(ctx, session.DefaultRecordPrefix+"0")
	switch {
	case errors.Is(err, gateway.ErrPermissionDenied):
		d.note("watch", "this user may not watch %s, so it was not tried",
			session.DefaultRecordPrefix)
		return
	case err != nil:
		d.wrong("watch", "no watch can be opened: %s", reason(err))
		return
	}
	defer w.Close()
	for _, ep := range c.Endpoints() {
		switch ep.WatchMode {
		case gateway.WatchModeUnknown:
			if ep.Err == nil {
				d.ok("watch", "%s: no watch was needed there", ep.URL)
			}
		case gateway.WatchModeShared:
			d.ok("watch", "%s: %s", ep.URL, ep.WatchMode)
		case gateway.WatchModeFinite:
			d.ok("watch", "%s: %s, because something on the way holds back requests",
				ep.URL, ep.WatchMode)
		case gateway.WatchModePolling:
			d.note("watch",
				"%s: %s, because something on the way holds back answers; "+
					"changes are seen late", ep.URL, ep.WatchMode)
		}
	}
}

func role(s *gateway.StatusResponse) string {
	switch {
	case s.IsLearner:
		return "learner"
	case s.Leader == 0:
		return "knows no leader"
	case s.Leader == s.MemberID:
		return "leader"
	}
	return "follower"
}

// maxSkew is the difference of clocks from which it is noted. The Date header has whole seconds.
const maxSkew = 2 * time.Second

// clock compares this machine's clock with the Date header of a member.
func (d *doctor) clock(ctx context.Context, endpoint string) {
	if !strings.HasPrefix(endpoint, "http") {
		return // a socket is on this machine
	}
	t := &http.Transport{DisableKeepAlives: true}
	if strings.HasPrefix(endpoint, "https:") {
		cfg, err := d.app.connect.tls()
		if err != nil {
			return
		}
		t.TLSClientConfig = cfg
	}
	base := endpoint // with --api-prefix /etcd/v3 the path is /etcd/version
	if dir := path.Dir(d.app.connect.apiPrefix); len(dir) > 1 {
		base += dir
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/version", http.NoBody)
	if err != nil {
		return
	}
	sent := time.Now()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return // the check of the endpoint reports it
	}
	_ = resp.Body.Close()
	got := time.Now()
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	switch ahead, behind := theirs.Sub(got), sent.Sub(theirs.Add(time.Second)); {
	case ahead > maxSkew:
		d.note("clock", "%s is %v ahead of this machine; locks do not mind, delays of queues do",
			endpoint, ahead.Round(time.Second))
	case behind > maxSkew:
		d.note("clock", "%s is %v behind this machine; locks do not mind, delays of queues do",
			endpoint, behind.Round(time.Second))
	default:
		d.ok("clock", "%s agrees with this machine to within %v", endpoint, maxSkew)
	}
}
