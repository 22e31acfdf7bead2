package proxies_test

import (
	"os"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/proxies"
)

// TestDocumentedConfigurationsAreTested: docs/proxies.md contains the configurations that the rows
// run.
func TestDocumentedConfigurationsAreTested(t *testing.T) {
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	left := string(page)
	for _, name := range []string{
		"nginx/streaming.conf", "haproxy/no-delay.cfg", "haproxy/tcp.cfg",
		"nginx/ingress.conf",
	} {
		text, err := proxies.Configuration(name)
		if err != nil {
			t.Fatal(err)
		}
		block := "```text\n" + text + "```\n"
		if !strings.Contains(left, block) {
			t.Errorf("docs/proxies.md does not show %s as it is", name)
		}
		left = strings.ReplaceAll(left, block, "")
	}
	if strings.Contains(left, "```") {
		t.Error("docs/proxies.md shows a configuration that no row runs")
	}
}
