package clock

import (
	"testing"
	"time"
)

func TestTheTimeAsleepCounts(t *testing.T) {
	from := Now()
	if !from.known {
		t.Fatal("this kernel does not tell")
	}
	Sleep(time.Minute)
	if got := Elapsed(from, Now()); got < time.Minute-time.Second || got > 2*time.Minute {
		t.Errorf("elapsed %v", got)
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
