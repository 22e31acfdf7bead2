package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// shownLease is the lease in the examples of the documents.
const shownLease gateway.LeaseID = 0x6dd18b3364141523

// TestCommandsForOperatorsWork runs the commands for operators in the documents. Each page has an
// etcd of its own, which holds the session of the example.
func TestCommandsForOperatorsWork(t *testing.T) {
	ctl, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range pages(t) {
		var script strings.Builder
		for _, b := range blocks(t, page) {
			for line := range strings.Lines(b.text) {
				if (b.lang == "sh" || b.lang == "") && strings.HasPrefix(line, "etcdctl ") {
					script.WriteString(line)
					ran++
				}
			}
		}
		if script.Len() == 0 {
			continue
		}
		c := etcdtest.Start(t, recipetest.Server(etcdproc.DefaultVersion))
		ctx := recipetest.Within(t, recipetest.Patience)
		client := recipetest.NewClient(t, gateway.Config{Endpoints: c.Endpoints()})
		record := session(ctx, t, client)
		cmd := exec.CommandContext(ctx, "sh", "-ex", "-c", script.String())
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(ctl)+":"+os.Getenv("PATH"),
			"ETCDCTL_ENDPOINTS="+c.Endpoints()[0])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
		if !strings.Contains(script.String(), "etcdctl get ") {
			continue
		}
		if left, err := client.Get(ctx, record); err != nil || left.Count > 0 ||
			!strings.Contains(string(out), "worker-7") {
			t.Errorf("%s: the record was not shown, or is there yet: %v, %v\n%s", page, left, err,
				out)
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands", ran)
	}
}

// session writes the keys of a session, under the lease of the example.
func session(ctx context.Context, t *testing.T, client *gateway.Client) (record string) {
	t.Helper()
	if _, err := client.Grant(ctx, shownLease, time.Minute); err != nil {
		t.Fatal(err)
	}
	record = "holdfast/sessions/" + shownLease.String()
	for _, key := range []string{record, "jobs/nightly/" + shownLease.String()} {
		if _, err := client.Put(ctx, key, []byte("worker-7"),
			gateway.WithLease(shownLease)); err != nil {
			t.Fatal(err)
		}
	}
	return record
}
