package line

import (
	"fmt"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// BenchmarkAdmission has the first member of a line leave and join again at the end, so that the
// mirror admits the next member. With local=true all members wait in this process, otherwise only
// the next one does.
func BenchmarkAdmission(b *testing.B) {
	for _, members := range []int{2, 10, 100, 1000} {
		for _, local := range []bool{true, false} {
			b.Run(fmt.Sprintf("members=%d/local=%t", members, local), func(b *testing.B) {
				admit(b, members, local)
			})
		}
	}
}

func admit(b *testing.B, members int, local bool) {
	b.Helper()
	s := newScript()
	keys := make([]string, members)
	var line []Member
	for i := range keys {
		keys[i] = fmt.Sprintf("a/694d81417acd4c8e-%d", i)
		line = append(line, Member{Key: keys[i], Fence: int64(i + 1)})
	}
	revision := int64(members)
	s.read(revision, line...)
	waiting := make([]*waiter, members)
	wait := func(i int, fence int64) {
		waiting[i] = s.addWaiter(Member{Key: keys[i], Fence: fence}, Join{}, false)
	}
	for i := range keys {
		if local && i > 0 {
			wait(i, int64(i+1))
		}
	}
	first := 0
	b.ReportAllocs()
	for b.Loop() {
		next := (first + 1) % members
		if !local {
			wait(next, s.snapshot.Members[1].Fence)
		}
		revision++
		s.events(del(keys[first], revision))
		w := waiting[next]
		if !s.stateOf(w).admitted {
			b.Fatal("not admitted")
		}
		s.removeWaiter(w)
		revision++
		s.events(put(keys[first], revision, revision))
		if local {
			wait(first, revision)
		}
		first = next
	}
}

// BenchmarkSync reads a line into a mirror, as the first waiter of a process does.
func BenchmarkSync(b *testing.B) {
	for _, members := range []int{10, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			resp := &gateway.GetResponse{Header: gateway.Header{Revision: int64(members)}}
			for i := range members {
				resp.KVs = append(resp.KVs, gateway.KeyValue{
					Key:            fmt.Sprintf("a/694d81417acd4c8e-%d", i),
					CreateRevision: int64(members - i),
				})
			}
			s := newScript()
			b.ReportAllocs()
			for b.Loop() {
				s.List(resp)
			}
		})
	}
}
