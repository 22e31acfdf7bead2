package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
		args := []string{"test", "-vet=off", "-count=1", "-v", "-run", "^Example"}
		cmd := exec.CommandContext(t.Context(), "go", append(args, withExamples(t)...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(),
			"HOLDFAST_ENDPOINTS="+strings.Join(c.Endpoints(), ","))
		out, err := cmd.CombinedOutput()
		if ran := len(example.FindAll(out, -1)); err != nil || ran < 30 {
			t.Errorf("%d examples ran: %v\n%s", ran, err, out)
		}
	})
}

// withExamples returns the packages of the library that have examples: the others would be compiled
// to run nothing. All public packages are folders of the root.
func withExamples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, file := range files {
		if strings.Contains(read(t, file), "\nfunc Example") {
			packages = append(packages, "./"+filepath.Base(filepath.Dir(file)))
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}
