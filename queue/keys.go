package queue

import (
	"fmt"
	"strconv"
	"strings"
)

// keys are those of one queue. All begin with <name>//, which no other name can. Caches watch from
// the claims to the items: what is of no use to them does not sort in between.
type keys struct {
	root    string
	tail    string // the number of the next item, and a bound of their number
	gaps    string // ranges of places that have no item and will have none
	paused  string // exists while the queue is paused
	items   string // + place
	claims  string // + place: leased, whose claim it is
	counts  string // + place: its version is how often the item was claimed
	returns string // + place: its version is how many of these claims do not count as attempts
	delayed string // + due time and ID
	dead    string // + ID
	dedups  string // + de-duplication ID
	slots   string // + slot: leased, of a claim, if there is a MaxInFlight
	retries string // + place: when an item of a group that was given back may be claimed again
}

func keysOf(name string) keys {
	root := name + "//"
	return keys{
		root: root, tail: root + "tail", gaps: root + "gaps", paused: root + "paused",
		items: root + "q/", claims: root + "c/", counts: root + "t/", returns: root + "r/",
		delayed: root + "d/", dead: root + "x/", dedups: root + "u/", retries: root + "h/",
		slots: root + "m/",
	}
}

// place is where an item stands: "<9 - priority>/<number>". Places sort in the order of delivery.
func place(priority int, number int64) string {
	return fmt.Sprintf("%d/%016d", MaxPriority-priority, number)
}

// itemKey returns the part of an item's key behind the prefix: its place, and its group if it has
// one.
func itemKey(place, group string) string {
	if group == "" {
		return place
	}
	return place + "/" + group
}

// parseItemKey is the inverse of itemKey. A key that is not of this library is all place.
func parseItemKey(key string) (place, group string) {
	if len(key) > placeLen+1 && key[placeLen] == '/' {
		if _, ok := priorityOf(key[:placeLen]); ok {
			return key[:placeLen], key[placeLen+1:]
		}
	}
	return key, ""
}

const placeLen = 18

// priorityOf tells the priority of a place, or that it is none.
func priorityOf(place string) (priority int, ok bool) {
	if len(place) != placeLen || place[1] != '/' || !digits(place[:1]) || !digits(place[2:]) {
		return 0, false
	}
	return MaxPriority - int(place[0]-'0'), true
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// dueKey sorts by the time it tells, in milliseconds since 1970.
func (k *keys) dueKey(due int64, id string) string {
	return fmt.Sprintf("%s%015d/%s", k.delayed, due, id)
}

// dueOf tells the time of a delayed item's key.
func (k *keys) dueOf(key string) (due int64, ok bool) {
	time, _, ok := strings.Cut(strings.TrimPrefix(key, k.delayed), "/")
	if !ok || len(time) != 15 || !digits(time) { // another length does not sort by the number
		return 0, false
	}
	due, err := strconv.ParseInt(time, 10, 64)
	return due, err == nil
}

// until is the first key behind those with the prefix, which ends in a slash.
func until(prefix string) string { return prefix[:len(prefix)-1] + "0" }
