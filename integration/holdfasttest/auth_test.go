package holdfasttest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// authOperations are compared with authentication turned on.
const authOperations = 1000

// TestContractOfTheFakesPermissions compares the answers to users with few permissions.
func TestContractOfTheFakesPermissions(t *testing.T) {
	etcdtest.ForEachVersion(t, comparePermissions)
}

func comparePermissions(t *testing.T, version string) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed: %d", seed)
	c := newContract(seed, newFake(t, mutation{}), newReal(t, version))
	c.g.ordered = true
	// Etcd 3.4 does not check the permissions of a transaction in another one, nor whether a put of a
	// transaction may read the earlier value, or write the other keys of its lease.
	c.g.simple = version == "3.4"
	if err := c.runWithAuth(t); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	t.Logf("answers by status: %v", c.statuses)
}

func (c *contract) runWithAuth(t *testing.T) error {
	t.Helper()
	for range 50 { // some keys and leases
		if err := c.compare(t, c.g.next()); err != nil {
			return err
		}
	}
	for _, r := range setUp() {
		if err := c.compare(t, r); err != nil {
			return err
		}
	}
	users := map[string][]string{"": {"", ""}, "junk": {"junk", "junk"}}
	for _, name := range []string{"root", "u"} {
		users[name] = c.logIn(t, name)
	}
	if err := c.watchAs(t, users["u"]); err != nil {
		return err
	}
	empty := encode("/kv/txn", object{
		"compare": []object(nil), "success": []object(nil), "failure": []object(nil),
	})
	for i := range authOperations {
		name := pick(c.g, "u", "u", "u", "u", "u", "u", "root", "root", "", "junk")
		c.one.token, c.other.token = users[name][0], users[name][1]
		r := c.g.next()
		if c.g.one(50) {
			r = c.g.compaction()
		}
		if bytes.Equal(r.body, empty.body) { // etcd asks nobody for a name, because it has no keys
			continue
		}
		if c.unchecked(r) {
			continue
		}
		if err := c.compare(t, r); err != nil {
			return fmt.Errorf("operation %d of %q: %w", i, name, err)
		}
	}
	return nil
}

// unchecked reports whether etcd answers a request of any user: 3.4 does so with leases and
// compactions.
func (c *contract) unchecked(r request) bool {
	return c.other.version == "3.4" &&
		(strings.HasPrefix(r.path, "/lease/") || r.path == "/kv/compaction")
}

// setUp makes the users root and u, and turns authentication on.
func setUp() []request {
	perm := func(kind, key, end string) request {
		p := object{"permType": kind, "key": []byte(key)}
		if end != "" {
			p["range_end"] = []byte(end)
		}
		return encode("/auth/role/grant", object{"name": "r", "perm": p})
	}
	add := func(name string) request {
		return encode("/auth/user/add", object{"name": name, "password": "secret of " + name})
	}
	grant := func(name, role string) request {
		return encode("/auth/user/grant", object{"user": name, "role": role})
	}
	enable := encode("/auth/enable", object{})
	return []request{
		encode("/auth/authenticate", object{"name": "root", "password": "secret of root"}),
		enable, add("root"), enable, add("root"), grant("root", "root"), grant("nobody", "root"),
		grant("root", "none"),
		encode("/auth/role/add", object{"name": "r"}),
		encode("/auth/role/add", object{"name": "r"}),
		encode("/auth/role/add", object{}), add("u"), grant("u", "r"),
		perm("READ", "k/0", "k/6"), perm("WRITE", "k/2", "k/9"), perm("READWRITE", "k/10", ""),
		perm("READ", "k/6", "k/8"), perm("WRITE", "k/11", ""), perm("READWRITE", "k/11", ""),
		enable, enable,
		encode("/auth/authenticate", object{"name": "root", "password": "wrong"}),
		encode("/auth/authenticate", object{"name": "nobody", "password": "wrong"}),
	}
}

// logIn returns the tokens of a user, one for each server.
func (c *contract) logIn(t *testing.T, name string) []string {
	t.Helper()
	var tokens []string
	for _, e := range c.both() {
		answer := e.do(t, encode("/auth/authenticate", object{
			"name": name, "password": "secret of " + name,
		}))
		var a struct {
			Answer struct {
				Token string `json:"token"`
			} `json:"answer"`
		}
		if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Answer.Token == "" {
			t.Fatalf("%s: %s: %v", e.name, answer, err)
		}
		tokens = append(tokens, a.Answer.Token)
	}
	return tokens
}

// watchAs creates watches as a user, as nobody, and with a wrong token.
func (c *contract) watchAs(t *testing.T, user []string) error {
	t.Helper()
	for _, tokens := range [][]string{user, {"", ""}, {"junk", "junk"}} {
		c.one.token, c.other.token = tokens[0], tokens[1]
		c.one.stream, c.other.stream = openStream(t, c.one), openStream(t, c.other)
		c.acks = 0
		for id := range 40 {
			m := c.g.watch(id + 1)
			create := m["create_request"].(object)
			delete(create, "start_revision")
			if end, ok := create["range_end"].([]byte); ok && len(end) == 1 && c.other.version == "3.4" {
				// Etcd 3.4 grants a watch of all keys from one to a user who may read that key.
				delete(create, "range_end")
			}
			if err := c.request(m); err != nil {
				return err
			}
		}
		for _, id := range append([]string{"-1"}, names(40)...) {
			if err := c.same(id); err != nil {
				return errors.Join(fmt.Errorf("token %q", tokens), err)
			}
		}
		clear(c.compared)
	}
	return nil
}

// names returns the IDs from 1 to n.
func names(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i+1))
	}
	return all
}
