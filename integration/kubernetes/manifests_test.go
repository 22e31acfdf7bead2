// Package kubernetes_test checks the manifests in deploy/kubernetes.
package kubernetes_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// workload is the part of an object that the tests look at.
type workload struct {
	object string
	labels map[string]string // that its selector asks for
	pod    core.PodTemplateSpec
}

// decode reads an object by the type that Kubernetes itself has for it. A field that the type does
// not have, or that is there twice, is an error.
func decode(text []byte) (w workload, err error) {
	var kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return w, err
	}
	w.object = kind.APIVersion + " " + kind.Kind
	switch w.object {
	case "apps/v1 Deployment":
		var d apps.Deployment
		err = yaml.UnmarshalStrict(text, &d)
		if w.pod = d.Spec.Template; d.Spec.Selector != nil {
			w.labels = d.Spec.Selector.MatchLabels
		}
	case "batch/v1 Job":
		var j batch.Job
		err = yaml.UnmarshalStrict(text, &j)
		w.pod = j.Spec.Template
	default:
		err = os.ErrInvalid
	}
	return w, err
}

// manifests returns the objects of each file.
func manifests(t *testing.T) map[string][]workload {
	t.Helper()
	files, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	out := map[string][]workload{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		for object := range bytes.SplitSeq(text, []byte("\n---\n")) {
			w, err := decode(object)
			if err != nil {
				t.Errorf("%s: %s: %v", name, w.object, err)
			}
			out[name] = append(out[name], w)
		}
	}
	return out
}

// TestTheManifestsMatchTheirSchemas: each field exists and has a value of its type, selectors
// select their pods, and each mount has a volume.
func TestTheManifestsMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	for file, objects := range manifests(t) {
		for _, w := range objects {
			spec := w.pod.Spec
			if w.object == "apps/v1 Deployment" && len(w.labels) == 0 {
				t.Errorf("%s: %s selects nothing", file, w.object)
			}
			for label, value := range w.labels {
				if w.pod.Labels[label] != value {
					t.Errorf("%s: the selector wants %s=%s", file, label, value)
				}
			}
			var volumes []string
			for _, v := range spec.Volumes {
				volumes = append(volumes, v.Name)
			}
			for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
				if c.Name == "" || c.Image == "" {
					t.Errorf("%s: a container %q with the image %q", file, c.Name, c.Image)
				}
				for _, mount := range c.VolumeMounts {
					if !slices.Contains(volumes, mount.Name) {
						t.Errorf("%s: %s mounts %s, which is no volume", file, c.Name, mount.Name)
					}
				}
			}
		}
	}
}

// TestAFieldThatDoesNotExistIsFound: the schema check fails for fields and values that Kubernetes
// would reject.
func TestAFieldThatDoesNotExistIsFound(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"a field": "apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 3}",
		"a type":  "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: three}",
		"a field of a container": "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n" +
			"      containers:\n        - name: a\n          arg: [lock]",
		"a quantity": "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n" +
			"      containers:\n        - resources: {limits: {memory: much}}",
		"twice":  "apiVersion: batch/v1\nkind: Job\nspec: {backoffLimit: 1, backoffLimit: 2}",
		"a kind": "apiVersion: apps/v1\nkind: Deploy",
	} {
		if _, err := decode([]byte(text)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestTheFlagsInTheManifestsExist: holdfast knows each verb and flag of the manifests, and each
// environment variable that they set for it.
func TestTheFlagsInTheManifestsExist(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "holdfast")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../cmd/holdfast", "-o",
		program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		return string(out), err
	}
	if _, err := help("elect", "--no-such-flag", "--help"); err == nil {
		t.Fatal("an unknown flag is no error")
	}
	runs := 0
	for file, objects := range manifests(t) {
		for _, w := range objects {
			for _, c := range slices.Concat(w.pod.Spec.InitContainers, w.pod.Spec.Containers) {
				ours := strings.Contains(c.Image, "/holdfast:") && c.Command == nil ||
					slices.Equal(c.Command, []string{"holdfast"})
				if !ours {
					continue
				}
				runs++
				args := c.Args
				if i := slices.Index(args, "--"); i >= 0 {
					args = args[:i]
				}
				text, err := help(append(slices.Clone(args), "--help")...)
				if err != nil || !strings.Contains(text, "holdfast "+args[0]) {
					t.Errorf("%s: %v: %v\n%s", file, args, err, text)
				}
				for _, e := range c.Env {
					if strings.HasPrefix(e.Name, "ETCDCTL_") &&
						!strings.Contains(text, "$"+e.Name+"]") {
						t.Errorf("%s: holdfast does not read %s", file, e.Name)
					}
				}
			}
		}
	}
	if runs < 4 {
		t.Errorf("only %d containers run holdfast", runs)
	}
}
