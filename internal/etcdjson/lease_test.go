package etcdjson_test

import (
	"math/rand/v2"
	"testing"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

func TestReaderReadsRenewals(t *testing.T) {
	t.Parallel()
	type renewal struct {
		Header etcdjson.Header `json:"header"`
		ID     etcdjson.Int64  `json:"ID,string"`
		TTL    etcdjson.Int64  `json:"TTL,omitempty,string"`
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		m := renewal{
			Header: randomHeader(random),
			ID:     etcdjson.Int64(random.Uint64()), TTL: etcdjson.Int64(random.IntN(2) * 9),
		}
		body := text(t, map[string]any{"other": []int{1}, "result": m})
		r := etcdjson.NewReader(body, 0)
		var a etcdjson.KeepAliveAnswer
		if !r.KeepAlive(&a) {
			t.Fatalf("%s: taken for no renewal", body)
		}
		want := etcdjson.KeepAliveAnswer{Header: m.Header, ID: int64(m.ID), TTL: int64(m.TTL)}
		same(t, body, &r, a, want)
	}
	for _, other := range []string{`{"error":{"code":5}}`, `{"result":null}`, `{}`, `null`} {
		r := etcdjson.NewReader([]byte(other), 0)
		if r.KeepAlive(new(etcdjson.KeepAliveAnswer)) || r.End() != nil {
			t.Errorf("%s: %v", other, r.End())
		}
	}
}
