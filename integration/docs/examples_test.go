package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

var example = regexp.MustCompile(`(?m)^--- (PASS|FAIL): Example`)

// TestExamplesPrintTheirOutputOnRealEtcd runs the examples of the package documentation on real
// etcd and compares their output.
func TestExamplesPrintTheirOutputOnRealEtcd(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, recipetest.Server(version))
		cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^Example",
			"./...")
		cmd.Dir = root
		cmd.Env = append(os.Environ(),
			"HOLDFAST_ENDPOINTS="+strings.Join(c.Endpoints(), ","))
		out, err := cmd.CombinedOutput()
		if ran := len(example.FindAll(out, -1)); err != nil || ran < 30 {
			t.Errorf("%d examples ran: %v\n%s", ran, err, out)
		}
	})
}
