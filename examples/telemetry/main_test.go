package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// span: etcd txn in the trace: true
	// span: holdfast acquire mutex in the trace: true
	// span: etcd txn in the trace: true
	// span: etcd txn in the trace: true
	// span: nightly in the trace: true
	// holdfast_client_operation_duration_seconds histogram
	// holdfast_client_streams gauge
	// holdfast_hold_active gauge
	// holdfast_hold_duration_seconds histogram
	// holdfast_hold_lost_total counter
	// holdfast_hold_wait_duration_seconds histogram
	// holdfast_queue_wait_duration_seconds histogram
	// holdfast_session_lost_total counter
	// holdfast_session_renewal_duration_seconds histogram
	// holdfast_session_suspect_total counter
	// messaging_client_consumed_messages_total counter
	// messaging_client_sent_messages_total counter
	// messaging_process_duration_seconds histogram
}
