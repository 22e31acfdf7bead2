package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestProgramsCompile: the programs whose size is measured use the libraries as they are.
func TestProgramsCompile(t *testing.T) {
	t.Parallel()
	for name, text := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
