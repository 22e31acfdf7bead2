package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheBlocksOfThePageWork runs the blocks of docs/cli.md, one after the other.
func TestTheBlocksOfThePageWork(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	// The names of the page are shared with other tests.
	dir := t.TempDir()
	wrapper := "#!/bin/sh\nexec " + program + " --namespace " + fresh(t) + "/ \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "holdfast"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for i, block := range strings.Split(string(text), "```") {
		script, ok := strings.CutPrefix(block, "sh\n")
		if i%2 == 0 || !ok {
			continue
		}
		blocks++
		script = strings.ReplaceAll(script, "export ETCDCTL_ENDPOINTS=127.0.0.1:2379\n", "")
		r := launch(t, "/bin/sh", []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, nil, "-ec", script)
		if code := r.wait(); code != 0 {
			t.Errorf("status %d: %s\n%s", code, script, r.stderr.String())
		}
	}
	if blocks < 6 {
		t.Errorf("only %d blocks", blocks)
	}
}
