package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestHealthAnswersAreRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		want       gateway.Health
		err        error
	}{
		{"3.4", `{"health":"true"}`, 200, gateway.Health{Healthy: true}, nil},
		{"3.5", `{"health":"true","reason":""}`, 200, gateway.Health{Healthy: true}, nil},
		{"a bool", `{"health":true}`, 200, gateway.Health{Healthy: true}, nil},
		{
			"no leader", `{"health":"false","reason":"RAFT NO LEADER"}`,
			503,
			gateway.Health{Reason: "RAFT NO LEADER"},
			nil,
		},
		{"true and 503", `{"health":"true"}`, 503, gateway.Health{}, nil},
		{"somebody else's 200", `{}`, 200, gateway.Health{}, gateway.ErrProtocol},
		{"text", `fine`, 200, gateway.Health{}, gateway.ErrProtocol},
		{"a proxy", `no backend`, 502, gateway.Health{}, gateway.ErrUnavailable},
		{"not there", `404 page not found`, 404, gateway.Health{}, errors.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					if r.URL.Path != "/health" || r.Method != http.MethodGet ||
						r.Header.Get("Authorization") != "" {
						t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
					}
					// as long as a member takes that has just lost its quorum
					time.Sleep(7 * time.Second)
					answer(w, tt.status, tt.body)
				})
				h, err := cl.client(t, withUser).Member("").Health(within(t, time.Minute))
				if tt.err != nil {
					wantErr(t, err, list(tt.err), nil)
				} else if err != nil || *h != tt.want {
					t.Errorf("%+v, %v", h, err)
				}
			})
		})
	}
}

func TestReadyzAndVersionAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		status, body := 200, "ok\n"
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if p := r.URL.Path; p != "/readyz" && p != "/livez" && p != "/version" {
				t.Errorf("asked for %s", p)
			}
			answer(w, status, body)
		})
		c := cl.client(t)
		ctx := within(t, time.Hour)
		if err := errors.Join(c.Member("").Readyz(ctx), c.Member("").Livez(ctx)); err != nil {
			t.Error(err)
		}
		status, body = 503, "[+]data_corruption ok\n[-]linearizable_read failed: no "+
			"leader\n[-]serializable_read failed\n"
		err := c.Member("").Readyz(ctx)
		wantErr(t, err, list(gateway.ErrUnavailable), nil)
		if err != nil && !strings.Contains(err.Error(),
			"linearizable_read failed: no leader; serializable_read failed") {
			t.Error(err)
		}
		status, body = 404, "404 page not found\n"
		wantErr(t, c.Member("").Livez(ctx), list(errors.ErrUnsupported),
			list(gateway.ErrUnavailable))
		_, err = c.Member("").Version(ctx)
		wantErr(t, err, list(errors.ErrUnsupported), nil)

		status, body = 200, `{"etcdserver":"3.6.16","etcdcluster":"3.6.0","storage":"3.5.0"}`
		v, err := c.Member("").Version(ctx)
		if err != nil || *v != (gateway.ServerVersion{
			Server: "3.6.16", Cluster: "3.6.0",
			Storage: "3.5.0",
		}) {
			t.Errorf("%+v, %v", v, err)
		}
		body = `{"version":"1.0"}`
		_, err = c.Member("").Version(ctx)
		wantErr(t, err, list(gateway.ErrProtocol), nil)
	})
}
