package gateway_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAnswersOfAllVersionsAreReadAlike: different encodings of the etcd versions are read alike.
func TestAnswersOfAllVersionsAreReadAlike(t *testing.T) {
	t.Parallel()
	want := gateway.KeyValue{
		Key: "k?>", Value: []byte{0xff, 0xfe}, CreateRevision: 2,
		ModRevision: math.MaxInt64, Version: 3, Lease: 7,
	}
	for name, b := range map[string]string{
		"strings": `{"header":{"cluster_id":"14841639068965178418","revision":"5"},` +
			`"kvs":[{"key":"az8+","create_revision":"2","mod_revision":"9223372036854775807",` +
			`"version":"3","value":"//4=","lease":"7"}],"count":"1"}`,
		"numbers": `{"header":{"cluster_id":14841639068965178418,"revision":5},` +
			`"kvs":[{"key":"az8+","create_revision":2,"mod_revision":9223372036854775807,` +
			`"version":3,"value":"//4=","lease":7}],"count":1}`,
		"spaces": ` {"header": {"cluster_id": "14841639068965178418", "revision":"5"} , ` +
			`"kvs": [ {"key":"az8+", "create_revision":"2", ` +
			`"mod_revision":"9223372036854775807", ` +
			`"version":"3", "value":"//4=", "lease":"7"}], "count":"1"}` + "\n",
		"URL base64": `{"header":{"cluster_id":"14841639068965178418","revision":"5"},` +
			`"kvs":[{"key":"az8-","create_revision":"2","mod_revision":"9223372036854775807",` +
			`"version":"3","value":"__4","lease":"7"}],"count":"1"}`,
		"escaped": `{"header":{"cluster_id":"14841639068965178418","revision":"5"},` +
			`"kvs":[{"key":"az8\u002b","create_revision":"2",` +
			`"mod_revision":"9223372036854775807","version":"3","value":"\/\/4=",` +
			`"lease":"7"}],"count":"1"}`,
		"more": `{"new":{"a":[1]},"header":{"cluster_id":"14841639068965178418",` +
			`"revision":"5","x":null},"kvs":[{"key":"az8+","create_revision":"2",` +
			`"mod_revision":"9223372036854775807","version":"3","value":"//4=","lease":"7",` +
			`"y":"z"}],"count":"1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := echoless(t, "", b)
			r, err := c.Get(t.Context(), "k?>")
			if err != nil || len(r.KVs) != 1 || !reflect.DeepEqual(r.KVs[0], want) ||
				r.Count != 1 || r.Revision != 5 || r.ClusterID != 14841639068965178418 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	for name, b := range map[string]string{
		"fields left out": `{"header":{}}`, "no header": `{}`,
		"nulls": `{"header":null,"kvs":null,"count":null,"more":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := echoless(t, "", b)
			r, err := c.Get(t.Context(), "k")
			if err != nil || len(r.KVs) != 0 || r.Count != 0 || r.More {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestABadAnswerIsAnErrorAndNoGuess: they have an error of their own, and never cause a panic or a
// guess.
func TestABadAnswerIsAnErrorAndNoGuess(t *testing.T) {
	t.Parallel()
	read := gateway.Txn{Then: []gateway.Op{gateway.OpGet("k")}}
	for name, b := range map[string]string{
		"overflow":         `{"count":"9223372036854775808"}`,
		"fraction":         `{"count":1.5}`,
		"exponent":         `{"count":"1e3"}`,
		"empty number":     `{"count":""}`,
		"number of a bool": `{"count":true}`,
		"negative cluster": `{"header":{"cluster_id":"-1"}}`,
		"base64":           `{"kvs":[{"key":"%%%"}]}`,
		"key of a number":  `{"kvs":[{"key":7}]}`,
		"object for list":  `{"kvs":{}}`,
		"bool of a string": `{"more":"true"}`,
		"two values":       `{}{}`,
		"header of a list": `{"header":[]}`,
		"no revisions":     `{"kvs":[{"key":"aw=="}]}`,
		"changed before it was created": `{"kvs":[{"key":"aw==","create_revision":"4",` +
			`"mod_revision":"3"}]}`,
		"another key": `{"kvs":[{"key":"bA==","create_revision":"3","mod_revision":"3"}]}`,
		"no key":      `{"kvs":[{"create_revision":"3","mod_revision":"3"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := echoless(t, "", b)
			_, err := c.Get(t.Context(), "k")
			wantErr(t, err, list(gateway.ErrProtocol), list(gateway.ErrInvalid))
		})
	}
	for name, b := range map[string]string{
		"too few answers": `{"succeeded":true}`,
		"too many": `{"succeeded":true,"responses":[{"response_range":{}},` +
			`{"response_range":{}}]}`,
		"another kind":     `{"succeeded":true,"responses":[{"response_put":{}}]}`,
		"none of a kind":   `{"succeeded":true,"responses":[{}]}`,
		"null":             `{"succeeded":true,"responses":[null]}`,
		"the other branch": `{"responses":[{"response_range":{}}]}`,
		"another key": `{"succeeded":true,"responses":[{"response_range":{"kvs":[` +
			`{"key":"bA==","create_revision":"3","mod_revision":"3"}]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := echoless(t, "", b)
			_, err := c.Txn(t.Context(), read)
			wantErr(t, err, list(gateway.ErrProtocol),
				list(gateway.ErrInvalid, gateway.ErrUncertain))
		})
	}
	for name, b := range map[string]string{
		"another lease": `{"ID":"8","TTL":"5"}`, "no time to live": `{"ID":"7"}`,
		"a TTL that is none": `{"ID":"7","TTL":"abc"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := echoless(t, "", b)
			_, err := c.Grant(t.Context(), 7, 5*time.Second)
			wantErr(t, err, list(gateway.ErrProtocol, gateway.ErrUncertain), nil)
		})
	}
}

func TestTheAnswerOfATransactionIsRead(t *testing.T) {
	t.Parallel()
	const k = `{"key":"aw==","create_revision":"2","mod_revision":"3"}`
	const l = `{"key":"bA==","create_revision":"3","mod_revision":"3"}`
	c, _, _ := echoless(t, "", `{"header":{"revision":"9"},"succeeded":true,"responses":[
		{"response_put":{"header":{"revision":"9"},"prev_kv":`+k+`}},
		{"response_range":{"header":{"revision":"9"},"kvs":[`+k+`],"more":true,"count":"2"}},
		{"response_delete_range":{
			"header":{"revision":"9"},"deleted":"2","prev_kvs":[`+k+`,`+l+`]}},
		{"response_txn":{"header":{},"responses":[{"response_put":{}}]}}]}`)
	r, err := c.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{
		gateway.OpPut("k", nil), gateway.OpGet("k"), gateway.OpDelete("k", gateway.FromKey()),
		gateway.OpTxn(gateway.Txn{Else: []gateway.Op{gateway.OpPut("x", nil)}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := r.Responses
	if !r.Succeeded || r.Revision != 9 || len(o) != 4 ||
		o[0].Put == nil || o[0].Put.PrevKV == nil || o[0].Put.PrevKV.ModRevision != 3 ||
		o[1].Get == nil || !o[1].Get.More || o[1].Get.Count != 2 || o[1].Get.KVs[0].Key != "k" ||
		o[2].Delete == nil || o[2].Delete.Deleted != 2 || len(o[2].Delete.PrevKVs) != 2 ||
		o[3].Txn == nil || o[3].Txn.Succeeded || o[3].Txn.Responses[0].Put == nil {
		t.Errorf("%+v", r)
	}
}

func TestLeaseIDsAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	seen := map[gateway.LeaseID]bool{}
	for range 1000 {
		id := gateway.NewLeaseID()
		if id <= 0 || seen[id] {
			t.Fatalf("ID %d", id)
		}
		seen[id] = true
	}
	if s := fmt.Sprintf("%v %v", gateway.LeaseID(255),
		gateway.LeaseID(-1)); s != "ff ffffffffffffffff" {
		t.Error(s)
	}
	var l logs
	l.logger().Info("x", "lease", gateway.LeaseID(255))
	if !strings.Contains(l.String(), "lease=ff") {
		t.Error(l.String())
	}
	c, _, _ := echoless(t, "", `{"leases":[{"ID":"7"},{"ID":8}]}`)
	if ids, err := c.Leases(t.Context()); err != nil || fmt.Sprint(ids) != "[7 8]" {
		t.Errorf("%v, %v", ids, err)
	}
	c, _, _ = echoless(t, "", `{"ID":"7","TTL":"-1"}`)
	_, err := c.TimeToLive(t.Context(), 7, false)
	wantErr(t, err, list(gateway.ErrLeaseNotFound), nil)
}
