package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheEnvironmentDoesNotChangeThePrograms asks the go command for the settings of a build in an
// environment that has others.
func TestTheEnvironmentDoesNotChangeThePrograms(t *testing.T) {
	for name, value := range map[string]string{
		"GOFLAGS": "-tags=other", "GOEXPERIMENT": "nogreenteagc", "GOFIPS140": "latest",
		"GOAMD64": "v3", "GOARM64": "v9.0", "CGO_ENABLED": "1", "GOOS": "plan9",
	} {
		t.Setenv(name, value)
	}
	names := []string{
		"GOOS", "GOARCH", "GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "GOAMD64", "CGO_ENABLED",
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...)
	cmd.Env = buildEnv(platform{"linux", "amd64"}, "off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "linux amd64 -buildvcs=false  off v1 0"
	if got := strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), " "); got != want {
		t.Errorf("the settings are %q, want %q", got, want)
	}
}
