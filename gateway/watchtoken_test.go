package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWatchWithAnOldTokenIsMadeWithANewOne: a create that is rejected for an old token is repeated
// on a new stream with a new token, and no event is lost or repeated.
func TestAWatchWithAnOldTokenIsMadeWithANewOne(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{
		"expired": refused(7, "Unauthenticated", "etcdserver: invalid auth token"),
		"old revision": refused(7, "InvalidArgument",
			"etcdserver: revision of auth store is old"),
		"no user at all": refused(7, "InvalidArgument", "etcdserver: user name is empty"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				logins := 0
				s := newWatchServer(t, 1, func(w http.ResponseWriter, _ request) {
					logins++
					answer(w, 200,
						fmt.Sprintf(`{"header":{"cluster_id":"7"},"token":"token.%d"}`, logins))
				})
				c := s.client(t, withUser)
				a, _ := watch(t, c, "a")
				st := s.next(t)
				if got := st.Header.Get("Authorization"); got != "token.1" {
					t.Errorf("token %q", got)
				}
				id := st.accept("a", 0, 5)
				st.write(events(id, kv("a", 6)))
				b, _ := watch(t, c, "b")
				st.create("b", 0)
				st.write(refusal)
				st = s.next(t)
				if got := st.Header.Get("Authorization"); got != "token.2" {
					t.Errorf("token %q", got)
				}
				for range 2 {
					m := st.read()
					if m.Create.Start != map[string]int64{"a": 7, "b": 0}[string(m.Create.Key)] {
						t.Errorf("%s resumed at %d", m.Create.Key, m.Create.Start)
					}
					st.write(created(m.Create.ID, 8))
					if string(m.Create.Key) == "a" {
						st.write(events(m.Create.ID, kv("a", 8)))
					}
				}
				a.want(t, "created 5", "a@6", "a@8")
				b.want(t, "created 8")
			})
		})
	}
}

// TestAWatchWithoutCredentialsFails: without credentials, or with wrong ones, a new watch fails.
func TestAWatchWithoutCredentialsFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1,
			says(400, 3, "etcdserver: authentication failed, invalid user ID or password"))
		_, err := s.client(t, withUser).Watch(within(t, time.Minute), "a")
		wantErr(t, err, list(gateway.ErrUnauthenticated), nil)
		noCanary(t, forms(err)...)

		r, _ := watch(t, s.client(t), "a")
		st := s.next(t)
		st.create("a", 0)
		st.write(refused(5, "InvalidArgument", "etcdserver: user name is empty"))
		r.want(t, "error")
		wantErr(t, r.err(), list(gateway.ErrUnauthenticated), nil)
	})
}
