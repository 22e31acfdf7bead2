package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"syscall"
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestElectShowsTheLeaderOverHTTP: each candidate names the leader, and only the leader answers 200
// on /leader, until it resigns.
func TestElectShowsTheLeaderOverHTTP(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	address := regexp.MustCompile(`the leader is shown at (http://127\.0\.0\.1:\d+/)`)
	candidate := func(value string) (r *running, url string) {
		r = start(t, "elect", name, value, "--http", "127.0.0.1:0")
		recipetest.Eventually(t, "the address of "+value, func() bool {
			found := address.FindStringSubmatch(r.stderr.String())
			if len(found) > 0 {
				url = found[1]
			}
			return len(found) > 0
		})
		return r, url
	}
	get := func(url string) (status int, body string) {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	shows := func(url, leader string, leading bool) func() bool {
		return func() bool {
			var is struct {
				Name    string
				Leading bool
			}
			status, body := get(url)
			if err := json.Unmarshal([]byte(body), &is); err != nil || status != http.StatusOK {
				t.Fatalf("%d, %s: %v", status, body, err)
			}
			own, _ := get(url + "leader")
			return is.Name == leader && is.Leading == leading && (own == http.StatusOK) == leading
		}
	}
	first, firstURL := candidate("first")
	first.line()
	second, secondURL := candidate("second")
	awaitMembers(t, name, 2)
	recipetest.Eventually(t, "the leader shows itself", shows(firstURL, "first", true))
	recipetest.Eventually(t, "the other shows the leader", shows(secondURL, "first", false))
	if status, _ := get(firstURL + "other"); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	first.signal(syscall.SIGTERM)
	first.want(0)
	second.line()
	recipetest.Eventually(t, "the next leader shows itself", shows(secondURL, "second", true))
	if text := complain(t, 64, "elect", name, "third", "--http", "nowhere:x"); text == "" {
		t.Error("no reason")
	}
}
