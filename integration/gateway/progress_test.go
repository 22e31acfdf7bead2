package gateway_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestProgressFollowsAllEvents: progress is reported on request, after all events, and by itself on
// a quiet watch.
func TestProgressFollowsAllEvents(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		flag := "--watch-progress-notify-interval=300ms"
		if version == "3.5" {
			flag = "--experimental-watch-progress-notify-interval=300ms"
		}
		o := recipetest.Server(version)
		o.ExtraArgs = append(o.ExtraArgs, flag)
		if version == "3.4" {
			o = recipetest.Server(version) // it has neither, and no reliable order
		}
		own := etcdtest.Start(t, o)
		ours, ns, theirs := both(t, own)
		ctx := within(t, patience)
		told := make(chan gateway.WatchResponse, 10_000)
		must(ours.WatchFunc("k", func(r gateway.WatchResponse) { told <- r },
			gateway.ProgressNotify()))(t)
		if r := <-told; !r.Created {
			t.Fatalf("%+v", r)
		}
		if version == "3.4" {
			if err := ours.RequestProgress(); err != nil {
				t.Error(err)
			}
			return
		}
		// On request, among events.
		const puts = 500
		var rev int64
		for i := range puts {
			rev = must(theirs.Put(ctx, ns+"k", "v"))(t).Header.Revision
			if i%50 == 0 {
				if err := ours.RequestProgress(); err != nil {
					t.Fatal(err)
				}
			}
		}
		seen, last, reports := 0, int64(0), 0
		next := func() gateway.WatchResponse {
			select {
			case r := <-told:
				return r
			case <-ctx.Done():
				t.Fatalf("%d events, %d reports, at %d", seen, reports, last)
				return gateway.WatchResponse{}
			}
		}
		for seen < puts {
			r := next()
			if r.Err != nil || r.Revision < last {
				t.Errorf("%+v behind %d", r, last)
			}
			if r.Progress {
				reports++
				if r.Revision > last && seen > 0 { // nothing else is written
					t.Errorf("all up to %d are said to have come, but only %d have",
						r.Revision, last)
				}
				continue
			}
			seen += len(r.Events)
			last = r.Revision
		}
		if err := ours.RequestProgress(); err != nil {
			t.Fatal(err)
		}
		for r := next(); r.Revision < rev; r = next() {
		}
		// By itself, after writes outside the watch.
		for range 2 {
			rev = must(theirs.Put(ctx, ns+"other", "v"))(t).Header.Revision
			began := time.Now()
			for r := next(); !r.Progress || r.Revision < rev; r = next() {
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("told after %v", took)
			}
		}
	})
}
