package inspect

import (
	"regexp"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// The forms of keys, which docs/keys.md describes. All other files of this package use the
// functions below.

const (
	claimPart   = "//c/"       // follows the name in the keys of a queue's claims
	runningPart = "//running/" // follows the name in the keys of a schedule's ticks
	sharedValue = "shared"     // the value of a reader of a lock

	// The beginning of the value of a lock that can be detached, before and after that.
	heldValue     = "held:"
	detachedValue = "detached:"
)

// BrokenPrefix begins the keys of the records of holds that were broken. A part of a name may
// follow it.
const BrokenPrefix = "holdfast/broken/"

func claimPrefix(name string) string { return name + claimPart }

func nodePrefix(name string) string { return name + "//members/" }

// claimedItem returns the position of the item that a claim's key names.
func claimedItem(key string) (item string, ok bool) {
	_, item, ok = strings.Cut(key, claimPart)
	return item, ok
}

// settings are the settings that are read of each name.
var settings = []string{
	"limit", "size", "parties", "raised", "tail", "paused", "state", "pause", "attempts", "bucket",
}

func settingKey(name, setting string) string { return name + "//" + setting }

// itemKeys matches the beginning of a queue's keys without a session's lease, of which there may be
// millions.
var itemKeys = regexp.MustCompile(`//[qtrdxu]/`)

// memberForm matches the names of members. Lease IDs of etcd or this library rarely have fewer
// digits, and a program's own keys may well be numbers with fewer. A name with the priority of a
// candidate begins with a 0.
var memberForm = regexp.MustCompile(
	`^([1-9a-f][0-9a-f]{11,15}(-[0-9a-f]+)*|` +
		`0[1-9a-f][0-9a-f]{11,15}(-[0-9a-f]+)*-p[0-9]+(-[0-9]+)?)$`)

func recordKey(lease gateway.LeaseID) string { return session.DefaultRecordPrefix + lease.String() }

// sinceKey returns the key that shows since when a session has held a key.
func sinceKey(lease gateway.LeaseID, key string) string {
	return recordKey(lease) + "/since/" + key
}

// leaseOfRecord returns the lease of a session's record, or 0 for another key.
func leaseOfRecord(key string) gateway.LeaseID {
	id, _ := gateway.ParseLeaseID(strings.TrimPrefix(key, session.DefaultRecordPrefix))
	return id
}

// leaseOf returns the lease in the name of a member's key, or 0. The name is "<lease hex>" or
// "<lease hex>-<n>".
func leaseOf(key string) gateway.LeaseID {
	hex, _, _ := strings.Cut(lastPart(key), "-")
	id, _ := gateway.ParseLeaseID(hex)
	return id
}

// ownerOf returns the owner that the value of a lock that can be detached names.
func ownerOf(value string) (lease gateway.LeaseID, detached, ok bool) {
	if strings.HasPrefix(value, detachedValue) {
		return 0, true, true
	}
	rest, ok := strings.CutPrefix(value, heldValue)
	hex, _, _ := strings.Cut(rest, ":")
	lease, err := gateway.ParseLeaseID(hex)
	return lease, false, ok && err == nil
}

// lastPart returns the part of a key after the last slash.
func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// parse returns the name to which a key under a lease belongs. recipe is empty if the key does not
// show it. ok is false if the key is not a member's or a claim's.
func parse(key string, lease gateway.LeaseID) (name, recipe string, ok bool) {
	if name, _, ok = strings.Cut(key, claimPart); ok {
		return name, Queue, true
	}
	slash := strings.LastIndexByte(key, '/')
	if slash < 1 || strings.Contains(key, runningPart) ||
		strings.HasPrefix(key, session.DefaultRecordPrefix) || leaseOf(key) != lease {
		return "", "", false
	}
	// A name does not end in two slashes; one slash at its end belongs to it.
	return key[:slash], "", !strings.HasSuffix(key[:slash], "//")
}

// ofGroup reports whether the line with this name is of a group's shards or leader. Such lines are
// no names to list, and would look like deadlocks: a member waits for a shard behind another
// member, which waits to lead behind it.
func ofGroup(name string) bool { return strings.Contains(strings.TrimSuffix(name, "/"), "//") }

// memberRange returns the range of keys [from, to) that contains the members of a name. Member
// names begin with hexadecimal digits, which sort after the slash of the settings. If the name ends
// in a slash, the range also contains the settings of the name without it.
func memberRange(name string) (from, to string) {
	if strings.HasSuffix(name, "/") {
		return name + "/0", name + "/g"
	}
	return name + "/0", name + "0"
}

// isMember reports whether a key in the range of a name is a member.
func isMember(name, key string) bool {
	among := strings.HasSuffix(name, "/")
	return !strings.Contains(key[len(name)+1:], "/") && (!among || leaseOf(key) != 0)
}
