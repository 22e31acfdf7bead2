package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestEachPageBeginsAfterTheLastKey: each page begins after the last key, at the revision of the
// first page.
func TestEachPageBeginsAfterTheLastKey(t *testing.T) {
	t.Parallel()
	var bodies []string
	first := 9 // the revision of the first page; the second answer has another
	const revisions = `"create_revision":"2","mod_revision":"3"`
	answers := []string{
		`{"header":{"revision":"%d"},
			"kvs":[{"key":"` + b64("ns/a1") + `",` + revisions + `},
				{"key":"` + b64("ns/a2") + `",` + revisions + `}],
			"more":true,"count":"3"}`,
		`{"header":{"revision":"%d"},
			"kvs":[{"key":"` + b64("ns/a3") + `",` + revisions + `}],"count":"1"}`,
	}
	c := newClient(t, gateway.Config{
		Endpoints: []string{"http://a:1"}, Namespace: "ns/",
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(b))
			i := len(bodies) - 1
			return reply(200, fmt.Sprintf(answers[i], first+3*i)), nil
		}),
	})
	pages := c.Pages(t.Context(), "a", 2, gateway.Prefix(), gateway.KeysOnly())
	for range 2 { // a second loop starts again
		first += 10
		bodies = nil
		var got []string
		for page, err := range pages {
			if err != nil || page.Revision != int64(first) {
				t.Fatalf("%+v, %v", page, err)
			}
			for _, kv := range page.KVs {
				got = append(got, kv.Key)
			}
		}
		if !slices.Equal(got, []string{"a1", "a2", "a3"}) || len(bodies) != 2 {
			t.Fatalf("%v, %d requests", got, len(bodies))
		}
		sameJSON(t, bodies[0],
			`{"key":"`+b64("ns/a")+`","range_end":"`+b64("ns/b")+`","limit":"2","keys_only":true}`)
		sameJSON(t, bodies[1], `{"key":"`+b64("ns/a2\x00")+`","range_end":"`+b64("ns/b")+`",
			"limit":"2","keys_only":true,"revision":"`+strconv.Itoa(first)+`"}`)
	}
	bodies, first = nil, first+10
	for _, err := range pages {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if len(bodies) != 1 {
		t.Errorf("%d requests by a loop that ended with the first page", len(bodies))
	}
	sort := gateway.SortBy(gateway.SortKey, gateway.Ascend)
	for name, p := range map[string]error{
		"Limit": lastError(c.Pages(t.Context(), "a",
			2, gateway.Prefix(), gateway.Limit(1))),
		"CountOnly": lastError(c.Pages(t.Context(), "a",
			2, gateway.Prefix(), gateway.CountOnly())),
		"SortBy":        lastError(c.Pages(t.Context(), "a", 2, gateway.Prefix(), sort)),
		"PrevKV":        lastError(c.Pages(t.Context(), "a", 2, gateway.PrevKV())),
		"less than one": lastError(c.Pages(t.Context(), "a", 0, gateway.Prefix())),
	} {
		wantErr(t, p, list(gateway.ErrInvalid), nil)
		if p != nil && !strings.Contains(p.Error(), name) {
			t.Errorf("%v does not name %s", p, name)
		}
	}
	for _, endless := range []string{
		`{"more":true}`,
		`{"kvs":[{"key":"` + b64("a1") + `"}],"more":true}`,
	} {
		c, _, _ := echoless(t, "", endless)
		wantErr(t, lastError(c.Pages(t.Context(), "a", 2, gateway.Prefix())),
			list(gateway.ErrProtocol), nil)
	}
}
