package etcdjson_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// sameJSON compares a JSON text with the wanted one.
func sameJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Errorf("%s: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWriterWritesRequests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		write      func(w *etcdjson.Writer)
	}{
		{
			"range", `{"key":"aw==","range_end":"bA==","limit":"1","revision":"2",` +
				`"sort_order":"DESCEND",` +
				`"sort_target":"MOD","serializable":true,"keys_only":true,"count_only":true,` +
				`"min_mod_revision":"3","max_mod_revision":"4",` +
				`"min_create_revision":"5","max_create_revision":"6"}`,
			func(w *etcdjson.Writer) {
				w.Range(&etcdjson.RangeRequest{
					Key: "k", End: "l", Limit: 1, Revision: 2,
					SortOrder: "DESCEND", SortTarget: "MOD",
					Serializable: true, KeysOnly: true, CountOnly: true,
					MinModRev: 3, MaxModRev: 4, MinCreateRev: 5, MaxCreateRev: 6,
				})
			},
		},
		{"range of zeros", `{"key":"aw=="}`, func(w *etcdjson.Writer) {
			w.Range(&etcdjson.RangeRequest{Key: "k"})
		}},
		{
			"put", `{"key":"aw==","value":"dg==","lease":"-1","prev_kv":true,` +
				`"ignore_value":true,"ignore_lease":true}`,
			func(w *etcdjson.Writer) {
				w.Put(&etcdjson.PutRequest{
					Key: "k", Value: []byte("v"), Lease: -1,
					PrevKV: true, IgnoreValue: true, IgnoreLease: true,
				})
			},
		},
		{"delete", `{"key":"aw==","range_end":"AA==","prev_kv":true}`, func(w *etcdjson.Writer) {
			w.Delete(&etcdjson.DeleteRequest{Key: "k", End: "\x00", PrevKV: true})
		}},
		{"txn", `{"compare":[{"result":"LESS","target":"MOD","key":"aw==","mod_revision":"7"},` +
			`{"target":"VALUE","key":"aw==","range_end":"bA==","value":"dg=="}],` +
			`"success":[{"request_put":{"key":"aw=="}},` +
			`{"request_txn":{"failure":[{"request_range":{"key":"aw=="}}]}}],` +
			`"failure":[{"request_delete_range":{"key":"aw=="}}]}`, writeTxn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := etcdjson.NewWriter(1)
			tt.write(w)
			sameJSON(t, w.Text(), tt.want)
		})
	}
}

func writeTxn(w *etcdjson.Writer) {
	w.Begin()
	w.BeginList(etcdjson.Compares)
	w.Compare(&etcdjson.Compare{Key: "k", Relation: "LESS", Target: etcdjson.TargetMod, Number: 7})
	w.Compare(&etcdjson.Compare{
		Key: "k", End: "l", Relation: etcdjson.Equal,
		Target: etcdjson.TargetValue, Value: []byte("v"),
	})
	w.EndList()
	w.BeginList(etcdjson.Success)
	w.BeginOp(etcdjson.Put)
	w.Put(&etcdjson.PutRequest{Key: "k"})
	w.End()
	w.BeginOp(etcdjson.Txn)
	w.Begin()
	w.BeginList(etcdjson.Failure)
	w.BeginOp(etcdjson.Range)
	w.Range(&etcdjson.RangeRequest{Key: "k"})
	w.End()
	w.EndList()
	w.End()
	w.End()
	w.EndList()
	w.BeginList(etcdjson.Failure)
	w.BeginOp(etcdjson.Delete)
	w.Delete(&etcdjson.DeleteRequest{Key: "k"})
	w.End()
	w.EndList()
	w.End()
}

func TestWriterComparesNumbersByTheirTarget(t *testing.T) {
	t.Parallel()
	for target, field := range map[string]string{
		etcdjson.TargetCreate: "create_revision", etcdjson.TargetMod: "mod_revision",
		etcdjson.TargetVersion: "version", etcdjson.TargetLease: "lease",
	} {
		w := etcdjson.NewWriter(1)
		compare := etcdjson.Compare{Key: "k", Relation: etcdjson.Equal, Target: target, Number: 5}
		if !w.Compare(&compare) {
			t.Errorf("%s is refused", target)
		}
		sameJSON(t, w.Text(), `{"target":"`+target+`","key":"aw==","`+field+`":"5"}`)
	}
	if etcdjson.NewWriter(1).Compare(&etcdjson.Compare{Key: "k", Target: "OTHER"}) {
		t.Error("a target that is none is taken")
	}
}

func TestWatchMessagesAreRead(t *testing.T) {
	t.Parallel()
	all := etcdjson.WatchCreate{
		ID: 1, Start: 2, Key: "k", End: "l", PrevKV: true,
		Notify: true, NoPut: true, NoDelete: true,
	}
	few := etcdjson.WatchCreate{ID: 1, Key: "k"}
	for _, tt := range []struct{ got, want string }{
		{string(all.Line()), `{"create_request":{"watch_id":"1","key":"aw==","range_end":"bA==",` +
			`"start_revision":"2","prev_kv":true,"fragment":true,"progress_notify":true,` +
			`"filters":["NOPUT","NODELETE"]}}`},
		{string(few.Line()), `{"create_request":{"watch_id":"1","key":"aw==","fragment":true}}`},
		{string(etcdjson.WatchCancel(-3)), `{"cancel_request":{"watch_id":"-3"}}`},
		{etcdjson.WatchProgress, `{"progress_request":{}}`},
	} {
		sameJSON(t, []byte(tt.got), tt.want)
		if tt.got[len(tt.got)-1] != '\n' {
			t.Errorf("%q is no line", tt.got)
		}
	}
}
