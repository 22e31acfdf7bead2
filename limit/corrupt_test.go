package limit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

// noSizes are values of a block's key that this library does not write.
var noSizes = []string{"-5", "9223372036854775807", "many", ""}

// TestCorruptBlock: the size of the own block is not a number of tokens.
func TestCorruptBlock(t *testing.T) {
	t.Parallel()
	for _, size := range noSizes {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
				own := bubble.Session(t, etcd)
				l := limit.New(own, name, rate, &limit.Options{Block: 10})
				if ok, err := l.Allow(t.Context(), 5); !ok || err != nil {
					t.Fatalf("Allow = %v, %v", ok, err)
				}
				etcd.Put(name+"/"+own.Lease().String(), size)
				if ok, err := l.Allow(t.Context(), 9); ok || !errors.Is(err, session.ErrCorrupt) {
					t.Errorf("Allow = %v, %v", ok, err)
				}
			})
		})
	}
}

// TestCorruptBlockOfAnother: the size of another process's block adds no tokens.
func TestCorruptBlockOfAnother(t *testing.T) {
	t.Parallel()
	for _, size := range noSizes {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
				own, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
				l := limit.New(own, name, rate, &limit.Options{Block: 10})
				o := limit.New(other, name, rate, &limit.Options{Block: 60})
				if ok, err := o.Allow(t.Context(), 1); !ok || err != nil {
					t.Fatalf("Allow = %v, %v", ok, err)
				}
				time.Sleep(2 * time.Second)
				etcd.Put(name+"/"+other.Lease().String(), size)
				if ok, err := l.Allow(t.Context(), 50); ok || !errors.Is(err, session.ErrCorrupt) {
					t.Errorf("Allow = %v, %v", ok, err)
				}
			})
		})
	}
}

// TestFarTokens: tokens that are reserved further and further ahead never become tokens of now.
func TestFarTokens(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			rate := limit.Rate{Tokens: 1, Per: 365 * 24 * time.Hour, Burst: 20}
			s := bubble.Session(t, etcd)
			l := limit.New(s, name, rate, &limit.Options{Block: 1, Strict: strict})
			last := time.Duration(-1)
			for range 50 {
				r, err := l.Reserve(t.Context(), 20)
				if err != nil {
					if last < 20*rate.Per || !errors.Is(err, gateway.ErrInvalid) {
						t.Errorf("Reserve = %v after %v", err, last)
					}
					break
				}
				if r.Delay() <= last {
					t.Fatalf("a delay of %v after %v", r.Delay(), last)
				}
				last = r.Delay()
			}
			if ok, err := l.Allow(t.Context(), 1); ok || err != nil {
				t.Errorf("Allow = %v, %v", ok, err)
			}
		})
	}
}
