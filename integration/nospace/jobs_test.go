package nospace_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/once"
)

// TestASingleRunFailsInAFullDatabase checks that a run that cannot commit its result returns the
// reason, that nothing runs then, and that another caller has a result once there is space.
func TestASingleRunFailsInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		name, ctx := fresh(t), within(t, time.Minute)
		other := once.New(s.session(t), name, nil) // a full database grants no lease
		_, err := once.New(s.session(t), name, nil).Do(ctx,
			func(context.Context, *once.Run) ([]byte, error) {
				s.fill(t)
				return []byte("first"), nil
			})
		if !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Do = %v", err)
		}
		_, err = other.Do(ctx, func(context.Context, *once.Run) ([]byte, error) {
			t.Error("the function has run in a full database")
			return nil, nil
		})
		if !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Do = %v", err)
		}
		s.makeSpace(t)
		res, err := other.Do(ctx, func(context.Context, *once.Run) ([]byte, error) {
			return []byte("second"), nil
		})
		if err != nil || string(res.Value) != "second" || res.Attempt != 2 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// TestATickEndsAfterAFullDatabase checks that a tick whose function has returned in a full database
// ends once there is space, without another attempt, and that the replicas go on.
func TestATickEndsAfterAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		name := fresh(t)
		job := cron.New(name, cron.Every(1000*time.Hour), nil)
		returned := make(chan struct{}, 10)
		for range 2 {
			client := recipetest.NewClient(t, gateway.Config{Endpoints: s.Endpoints()})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- job.Run(ctx, client, func(_ context.Context, tick *cron.Tick) error {
					if r, _ := tick.Trigger(); r.Why == "first" {
						s.fill(t)
					}
					returned <- struct{}{}
					return nil
				})
			}()
			t.Cleanup(func() {
				stop()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("Run = %v", err)
				}
			})
		}
		for i, why := range []string{"first", "second"} {
			if err := job.Trigger(within(t, time.Minute), s.client, why); err != nil {
				t.Fatal(err)
			}
			<-returned
			if why == "first" {
				s.makeSpace(t)
			}
			eventually(t, "the end of the tick", func() bool {
				records, err := job.History(within(t, time.Minute), s.client)
				if err != nil {
					t.Fatal(err)
				}
				return len(records) == i+1 && !records[0].Ended.IsZero()
			})
		}
		records, err := job.History(within(t, time.Minute), s.client)
		for _, r := range records {
			if r.Attempt != 1 || r.Error != "" {
				t.Errorf("%+v", r)
			}
		}
		if err != nil || len(returned) != 0 {
			t.Errorf("%v; %d more attempts", err, len(returned))
		}
	})
}
