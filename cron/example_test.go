package cron_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
)

// The example assumes a program that has made a client once.
var client *gateway.Client

// Each replica of a service calls Run. One of them runs each tick.
func ExampleCron_Run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	job := cron.New("reports/often", cron.Every(100*time.Millisecond), nil)
	_ = job.Run(ctx, client, func(ctx context.Context, tick *cron.Tick) error {
		defer cancel() // a service goes on
		fmt.Println("attempt", tick.Attempt())
		// The write is applied with the end of the tick or not at all.
		return tick.Complete(ctx, gateway.OpPut("reports/latest", []byte("42 orders")))
	})
	report, err := client.Get(context.Background(), "reports/latest")
	fmt.Printf("%s, %v\n", report.KVs[0].Value, err)
	// Output:
	// attempt 1
	// 42 orders, <nil>
}
