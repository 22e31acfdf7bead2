package etcdtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartEndsWithTheTest(t *testing.T) {
	var member *etcdproc.Member
	t.Run("inner", func(t *testing.T) {
		c := etcdtest.Start(t, nil)
		member = c.Member(0)
		if c.FindLeader(t) != member {
			t.Error("the only member does not lead")
		}
		if member.ID() == 0 {
			t.Error("the member has no id")
		}
		if _, err := c.ClientV3(t, member.Endpoint()).Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	})
	if member.Running() {
		t.Error("the member runs after its test")
	}
}
