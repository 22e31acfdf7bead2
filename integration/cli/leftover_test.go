package cli_test

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestDoctorFindsALeftoverThatNobodyUses: doctor finds a member's key that has lost its lease, even
// if nobody uses the name, and break deletes it. A key that may belong to another program is only
// noted.
func TestDoctorFindsALeftoverThatNobodyUses(t *testing.T) {
	t.Parallel()
	const lease = "6dd18b3364141523"
	for what, row := range map[string]struct {
		keys map[string]string // suffixes of the name, and the values of these keys
		key  string            // the suffix of the key that was left over
		at   string            // the suffix of the name to type for break
		code int
	}{
		"lock":        {map[string]string{"/1f": "", "/bad": ""}, "/" + lease, "", 1},
		"second lock": {nil, "/" + lease + "-1", "", 1},
		"reader":      {map[string]string{"/" + lease: "shared"}, "/" + lease, "", 1},
		"nested":      {nil, "/b/" + lease, "/b", 1},
		"semaphore": {
			map[string]string{"//limit": "3", "//size": "3", "/" + lease: "2"},
			"/" + lease, "", 1,
		},
		"barrier":  {map[string]string{"//parties": "double 2"}, "/" + lease, "", 1},
		"claim":    {map[string]string{"//tail": "2"}, "//c/9/0000000000000001", "", 1},
		"turn":     {map[string]string{"//tail": "2"}, "//w/" + lease, "//w", 1},
		"election": {map[string]string{"/" + lease: "10.0.0.7:8080"}, "/" + lease, "", 0},
		"other's keys": {map[string]string{
			"/20260101": "", "/1f": "", "/settings": "x",
			"/bad": "",
		}, "", "", 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name, c := fresh(t), newClient(t)
			put := func(key, value string) {
				t.Helper()
				if _, err := c.Put(within(t, patience), name+key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			for key, value := range row.keys {
				put(key, value)
			}
			if _, ok := row.keys[row.key]; !ok && row.key != "" {
				put(row.key, "")
			}
			out := hf(t, row.code, "doctor", name)
			if named := strings.Contains(out, name+row.key+" "); named != (row.key != "") {
				t.Errorf("doctor:\n%s", out)
			}
			if n := strings.Count(out, "--reason"); n > 1 {
				t.Errorf("%d keys are named:\n%s", n, out)
			}
			if row.key == "" {
				return
			}
			command := "break " + name + row.at + " --key " + name + row.key + " --reason"
			if !strings.Contains(out, command) {
				t.Errorf("doctor does not say %s:\n%s", command, out)
			}
			hf(t, 0, append(strings.Fields(command), "nobody's")...)
			if got, err := c.Get(within(t, patience), name+row.key,
				gateway.KeysOnly()); err != nil || len(got.KVs) > 0 {
				t.Errorf("the key is still there: %v, %v", got, err)
			}
			if out := hf(t, 0, "doctor", name); !strings.Contains(out, "no key without a lease") {
				t.Errorf("doctor afterwards:\n%s", out)
			}
		})
	}
}
