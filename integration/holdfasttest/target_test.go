package holdfasttest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// target is a server under comparison.
type target struct {
	name string
	base string
	// version is the version of etcd of the comparison, whose known differences are left out.
	version string
	http    *http.Client
	token   string
	stream  *stream

	// alter changes the messages of the stream; nil leaves them as they are.
	alter func(line []byte) []byte
}

// newFake returns the etcd in memory, with a fault or without one.
func newFake(t *testing.T, m mutation) *target {
	t.Helper()
	etcd := fakeetcd.Start(t)
	etcd.Script(m.script)
	return newTarget(t, "http://etcd:2379", &target{
		name: "the fake", alter: m.alter,
		http: &http.Client{Transport: &http.Transport{DialContext: etcd.Config().DialContext}},
	})
}

// newReal returns an etcd of its own. It skips the test if that is 3.4 and not installed.
func newReal(t *testing.T, version string) *target {
	t.Helper()
	if _, err := etcdproc.Binary(version); errors.Is(err, etcdproc.ErrNotInstalled) {
		t.Skipf("not compared with etcd %s: %v", version, err)
	}
	c := etcdtest.Start(t, recipetest.Server(version))
	return newTarget(t, c.Endpoints()[0], &target{
		name: "etcd " + version, version: version, http: &http.Client{Transport: &http.Transport{}},
	})
}

func newTarget(t *testing.T, base string, e *target) *target {
	t.Helper()
	t.Cleanup(e.http.CloseIdleConnections)
	e.base = base
	e.stream = openStream(t, e)
	return e
}

// do sends a request and returns the answer in a form that is the same for equal answers.
func (e *target) do(t *testing.T, r request) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.base+"/v3"+r.path,
		bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	e.authorize(req)
	resp, err := e.http.Do(req)
	if err != nil {
		t.Fatalf("%s: %s: %v", e.name, r, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %s: %v", e.name, r, err)
	}
	var answer any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s: %s: %v in %q", e.name, r, err, text)
	}
	status := resp.StatusCode
	if e.version != "" && e.version != "3.6" && status >= http.StatusBadRequest {
		// Other versions find another of several errors, and have other forms of errors.
		status, answer = http.StatusBadRequest, nil
	}
	if e.version == "3.7" {
		dropLeases(answer)
	}
	return plain(map[string]any{"status": status, "answer": answer})
}

// dropLeases removes the leases of keys without values, because etcd 3.7 omits them from reads of
// keys only.
func dropLeases(v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			dropLeases(element)
		}
	case map[string]any:
		if v["mod_revision"] != nil && v["value"] == nil {
			delete(v, "lease")
		}
		for _, element := range v {
			dropLeases(element)
		}
	}
}

// authorize sends the target's token, if it has one.
func (e *target) authorize(req *http.Request) {
	if e.token != "" {
		req.Header.Set("Authorization", e.token)
	}
	req.Header.Set("Accept", "application/json") // without it etcd takes its own certificate's user
}

// plain returns a message without the differences that are no differences: the IDs of the cluster
// and the member, the order of sets, and the seconds that have passed.
func plain(message any) string {
	text, err := json.Marshal(strip(message))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func strip(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
	case map[string]any:
		for _, name := range []string{"cluster_id", "member_id", "raft_term", "details"} {
			delete(v, name)
		}
		for _, name := range []string{"keys", "leases"} {
			if set, ok := v[name].([]any); ok {
				slices.SortFunc(set, func(a, b any) int {
					return bytes.Compare([]byte(plain(a)), []byte(plain(b)))
				})
			}
		}
		if v["grantedTTL"] != nil {
			delete(v, "TTL") // the remaining time
		}
		for name := range v {
			v[name] = strip(v[name])
		}
	}
	return v
}
