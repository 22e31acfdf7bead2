package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// connectWith reads flags and environment as the program does.
func connectWith(t *testing.T, env map[string]string, args ...string) (*connectFlags, error) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "ETCD") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	f := &connectFlags{}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.add(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f, f.fromEnv(fs)
}

func TestEnvironmentSetsFlags(t *testing.T) {
	f, err := connectWith(t, map[string]string{
		"ETCDCTL_ENDPOINTS": "a:1,b:2", "ETCD_ENDPOINTS": "c:3", "ETCD_CACERT": "ca",
		"ETCDCTL_CERT": "cert", "ETCDCTL_COMMAND_TIMEOUT": "7s",
		"ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "true",
	}, "--cert", "typed")
	if err != nil || !slices.Equal(f.endpoints, []string{"a:1", "b:2"}) ||
		f.cacert != "ca" || f.cert != "typed" ||
		time.Duration(f.timeout) != 7*time.Second || !f.skipVerify {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = connectWith(t, map[string]string{
		"ETCDCTL_ENDPOINTS": "", "ETCDCTL_COMMAND_TIMEOUT": "soon",
	})
	if codeOf(err) != codeUsage {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestPasswordSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("in:file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env            map[string]string
		args           []string
		user, password string
	}{
		{nil, nil, "", ""},
		{map[string]string{"ETCDCTL_USER": "u:p:q"}, nil, "u", "p:q"},
		{map[string]string{"ETCDCTL_USER": "u", "ETCDCTL_PASSWORD": "p"}, nil, "u", "p"},
		{map[string]string{"ETCDCTL_USER": "u:p", "ETCDCTL_PASSWORD": "q"}, nil, "u", "p"},
		{map[string]string{"ETCDCTL_USER": "u:p"}, []string{"--user", "v"}, "v", ""},
		{map[string]string{"ETCDCTL_PASSWORD": "p"}, []string{"--user", "v"}, "v", "p"},
		{map[string]string{"ETCDCTL_PASSWORD": "p"}, nil, "", ""},
		{
			map[string]string{"ETCDCTL_USER": "u:p"},
			[]string{"--password-file", file},
			"u",
			"in:file",
		},
	} {
		f, err := connectWith(t, tt.env, tt.args...)
		if err != nil || f.user != tt.user || string(f.password) != tt.password {
			t.Errorf("%v %v: user %q, password %q, %v", tt.env, tt.args, f.user,
				string(f.password), err)
		}
	}
	_, err := connectWith(t, nil, "--user", "u:secret")
	if codeOf(err) != codeUsage || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestExitStatusOfErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{usagef("x"), 64},
		{nof("x"), 1},
		{lostf("x"), 75},
		{&noAnswerError{}, 69},
		{&outputError{syscall.EPIPE}, 141},
		{&outputError{syscall.ENOSPC}, 70},
		{errNotInTime, 1},
		{&signalled{15}, 143},
		{&childError{status: 7}, 7},
		{errors.New("x"), 70},
		{(&waitFlags{code: 9}).refused(errNotInTime), 9},
		{(&waitFlags{code: 9}).refused(&noAnswerError{}), 69},
	} {
		if got := codeOf(tt.err); got != tt.code {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.code)
		}
	}
}
