package adapters_test

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/holdfast-go/holdfast/adapters/holdfastrobfig"
	holdfast "github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

func newProxy(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func cut(p *faultproxy.Proxy) { p.Blackhole(faultproxy.Both) }

// late runs a job later than the scheduler does, like a replica whose clock is behind.
func late(d time.Duration) cron.JobWrapper {
	return func(job cron.Job) cron.Job {
		return cron.FuncJob(func() {
			<-time.After(d)
			job.Run()
		})
	}
}

// TestRobfigRunsEachTickOnce: of several replicas that start a tick at different times, one runs
// it. Without the wrapper, the same test finds ticks that ran more than once.
func TestRobfigRunsEachTickOnce(t *testing.T) {
	t.Parallel()
	const spec = "* * * * * *"
	parser := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, err := parser.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		wrap   func(*session.Session, string) cron.JobWrapper
		double bool
	}{
		{"nothing", func(*session.Session, string) cron.JobWrapper {
			return func(job cron.Job) cron.Job { return job }
		}, true},
		{"the wrapper", func(s *session.Session, name string) cron.JobWrapper {
			return holdfastrobfig.OncePerTick(s, name, schedule, &holdfastrobfig.Options{
				Logger: cron.DiscardLogger, Location: time.UTC,
			})
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			var ticks counter[time.Time]
			for i := range instances {
				c := cron.New(cron.WithLocation(time.UTC), cron.WithParser(parser))
				job := tt.wrap(cluster.NewSession(t, nil), name)(cron.FuncJob(func() {
					ticks.add(holdfast.Last(schedule, time.Now()))
				}))
				c.Schedule(schedule, late(time.Duration(i)*splay)(job))
				c.Start()
				t.Cleanup(func() { <-c.Stop().Done() })
			}
			eventually(t, "ticks", func() bool { return ticks.len() >= 4 })
			n, twice := ticks.len(), ticks.twice()
			figure(t, "robfig/cron with %s: %d ticks, %d ran more than once", tt.name, n, twice)
			if (twice > 0) != tt.double {
				t.Errorf("%d of %d ticks ran more than once", twice, n)
			}
		})
	}
}
