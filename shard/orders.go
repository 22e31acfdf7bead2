package shard

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Order is an order of an operator, see [Pause] and [Drain].
type Order struct {
	By  string    `json:"by"` // the session: "name (host, pid 42)"
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

// orders are the orders of a group that are in force.
type orders struct {
	paused  map[int]Order    // by shard
	drained map[string]Order // by the member's ID
}

func newOrders() orders { return orders{map[int]Order{}, map[string]Order{}} }

func pauseKey(group string, shard int) string {
	return tableKey(group) + "/paused/" + strconv.Itoa(shard)
}

func drainKey(group, id string) string { return tableKey(group) + "/drained/" + id }

// put takes a key if it is an order. An order is in force also with a value that this library does
// not write, because an operator may put a key by hand.
func (o *orders) put(group string, kv gateway.KeyValue) {
	var order Order
	_ = json.Unmarshal(kv.Value, &order)
	if shard, ok := pausedBy(group, kv.Key); ok {
		o.paused[shard] = order
	} else if id, ok := strings.CutPrefix(kv.Key, drainKey(group, "")); ok {
		o.drained[id] = order
	}
}

// remove forgets a key.
func (o *orders) remove(group, key string) {
	if shard, ok := pausedBy(group, key); ok {
		delete(o.paused, shard)
	} else if id, ok := strings.CutPrefix(key, drainKey(group, "")); ok {
		delete(o.drained, id)
	}
}

func (o *orders) clone() orders { return orders{maps.Clone(o.paused), maps.Clone(o.drained)} }

func pausedBy(group, key string) (shard int, ok bool) {
	number, ok := strings.CutPrefix(key, tableKey(group)+"/paused/")
	shard, err := strconv.Atoi(number)
	return shard, ok && err == nil
}
