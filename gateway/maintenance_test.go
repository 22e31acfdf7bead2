package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestMoveLeaderFindsTheLeader: members are asked one after the other until the leader is found.
func TestMoveLeaderFindsTheLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 4, func(w http.ResponseWriter, r request) {
			switch r.n {
			case 0:
				etcdError(w, 400, 9, "etcdserver: not leader")
			case 1:
				drop()
			case 2:
				etcdError(w, 404, 5, "Not Found")
			default:
				ok(w)
			}
		})
		if err := cl.client(t).Cluster().MoveLeader(within(t, time.Minute), 7); err != nil {
			t.Error(err)
		}
		asked := map[int]bool{}
		for _, r := range cl.requests() {
			if r.URL.Path != "/version" {
				asked[r.member] = true
			}
		}
		if len(asked) != 4 {
			t.Errorf("asked %v", cl.members())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 3, says(400, 9, "etcdserver: not leader"))
		err := cl.client(t).Cluster().MoveLeader(within(t, time.Minute), 7)
		wantErr(t, err, nil, list(gateway.ErrUncertain, context.DeadlineExceeded))
		if n := len(cl.requests()); n != 3 {
			t.Errorf("%d requests to three members", n)
		}
	})
}

// TestMoveLeaderWithoutAnAnswerIsUncertain: the leader that gave no answer may have moved, even if
// other members refuse.
func TestMoveLeaderWithoutAnAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.n == 0 {
				drop()
			}
			etcdError(w, 400, 9, "etcdserver: not leader")
		})
		err := cl.client(t).Cluster().MoveLeader(within(t, time.Minute), 7)
		wantErr(t, err, list(gateway.ErrUncertain), list(context.DeadlineExceeded))
		if n := len(cl.requests()); n != 2 {
			t.Errorf("%d requests to two members", n)
		}
	})
}

func TestMaintenanceAnswersAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			switch r.URL.Path {
			case "/v3/maintenance/status":
				answer(w, 200, `{"header":{"member_id":"5"},"version":"3.6.16","dbSize":"1",
					"leader":"18446744073709551615","raftIndex":"2","raftTerm":"3","raftAppliedIndex":"4",
					"errors":["e"],"dbSizeInUse":"5","isLearner":true,"storageVersion":"3.6.0",
					"dbSizeQuota":"6","downgradeInfo":{"enabled":true,"targetVersion":"3.5.0"}}`)
			case "/v3/maintenance/hash":
				answer(w, 200, `{"hash":4294967295}`)
			case "/v3/maintenance/hashkv":
				answer(w, 200, `{"hash":4294967295,"compact_revision":"-1","hash_revision":"9"}`)
			case "/v3/maintenance/downgrade":
				answer(w, 200, `{"version":"3.6"}`)
			case "/v3/maintenance/alarm":
				answer(w, 200, `{"alarms":[{"memberID":"18446744073709551615","alarm":"NOSPACE"},`+
					`{"memberID":"2","alarm":7}]}`)
			}
		})
		c := cl.client(t)
		ctx := within(t, time.Minute)
		s, err := c.Member("").Status(ctx)
		want := &gateway.StatusResponse{
			Header: gateway.Header{MemberID: 5, RaftTerm: 3}, Version: "3.6.16",
			StorageVersion: "3.6.0", DBSize: 1, DBSizeInUse: 5,
			DBSizeQuota: 6, Leader: biggest, RaftIndex: 2, RaftAppliedIndex: 4, IsLearner: true,
			Errors:    []string{"e"},
			Downgrade: gateway.DowngradeInfo{Enabled: true, Target: "3.5.0"},
		}
		if err != nil || !reflect.DeepEqual(s, want) {
			t.Errorf("%+v, %v", s, err)
		}
		if h, err := c.Member("").Hash(ctx); err != nil || h.Hash != 1<<32-1 {
			t.Errorf("%+v, %v", h, err)
		}
		if h, err := c.Member("").HashKV(ctx, 9); err != nil || h.Hash != 1<<32-1 ||
			h.CompactRevision != -1 || h.HashRevision != 9 {
			t.Errorf("%+v, %v", h, err)
		}
		if v, err := c.Cluster().Downgrade(ctx, gateway.DowngradeValidate, "3.5"); err != nil ||
			v != "3.6" {
			t.Errorf("%q, %v", v, err)
		}
		a, err := c.Cluster().AlarmList(ctx)
		if err != nil || fmt.Sprint(a.Alarms) != "[{18446744073709551615 NOSPACE} {2 7}]" {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// TestDisarmAllDisarmsEachAlarm: each alarm that is raised is disarmed, and no other.
func TestDisarmAllDisarmsEachAlarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		raised := `[{"memberID":"1","alarm":"NOSPACE"},{"memberID":"2","alarm":"CORRUPT"}]`
		cl := newCluster(t, 1, says200(`{`+header+`,"alarms":`+raised+`}`))
		a, err := cl.client(t).Cluster().AlarmDisarm(within(t, time.Minute), gateway.Alarm{})
		if err != nil || len(a.Alarms) != 4 {
			t.Errorf("%+v, %v", a, err)
		}
		var sent []string
		for _, r := range cl.requests() {
			sent = append(sent, r.body)
		}
		want := []string{
			`{"action":"GET"}`, `{"action":"DEACTIVATE","memberID":"1","alarm":"NOSPACE"}`,
			`{"action":"DEACTIVATE","memberID":"2","alarm":"CORRUPT"}`,
		}
		if !reflect.DeepEqual(sent, want) {
			t.Errorf("sent %v", sent)
		}
	})
}
