package cli_test

import (
	"strings"
	"testing"
)

// TestInfoShowsNamesWithoutHolders: info shows the keys of once, counter, id, member and shard at a
// name, also after their processes have ended.
func TestInfoShowsNamesWithoutHolders(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "once", name+"/done", "--", "echo", "all is well")
	hf(t, 3, "once", "--max-attempts", "1", name+"/bad", "--", "sh", "-c", "exit 3")
	hf(t, 0, "counter", "add", name+"/sum", "41")
	hf(t, 0, "id", name+"/ids", "-n", "5")
	start(t, "member", "join", name+"/group", "--id", "a", "--", "sh", "-c", "echo; exec sleep 100").
		line()
	start(t, "shard", "run", name+"/shards", "--shards", "2", "--", "sh", "-c",
		"echo; exec sleep 100").line()

	for _, tt := range []struct{ name, recipe, setting, value string }{
		{"/done", "once", "result", "\"attempt\":1,"},
		{"/done", "once", "result", "\nall is well\n"},
		{"/bad", "once", "result", `"error":`},
		{"/sum", "counter", "counter", "41"},
		{"/ids", "ids", "next", "6"},
		{"/group", "group", "", ""},
		{"/shards", "shards", "assignment", `"n":2`},
	} {
		info := rows(t, "info", name+tt.name)[0]
		value, _ := info["settings"].(map[string]any)[tt.setting].(string)
		if info["recipe"] != tt.recipe || !strings.Contains(value, tt.value) {
			t.Errorf("%s: %v", tt.name, info)
		}
		members := tt.recipe == "group" || tt.recipe == "shards"
		if n, ok := info["group_members"]; ok != members || ok && n != 1.0 {
			t.Errorf("%s: the group has %v members", tt.name, n)
		}
		text := hf(t, 0, "info", name+tt.name)
		if head := tt.recipe + " " + name + tt.name + "\n"; !strings.HasPrefix(text, head) ||
			members && !strings.Contains(text, "group members: 1\n") {
			t.Errorf("%s: %s", tt.name, text)
		}
	}
	complain(t, 1, "info", name+"/nothing")
}
