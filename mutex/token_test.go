package mutex

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/internal/core"
)

// FuzzToken: the token of a lock with any name is one word, from which the lock is found again.
func FuzzToken(f *testing.F) {
	const id = "0b5e7a52-8a43-4a0e-b8f3-6f0a2f5b8a11"
	for _, name := range []string{"a", "a/", "/a", "jobs/nightly", "ä b\n%2F:?#", "a//b", "\x00\xff"} {
		f.Add(name, int64(7), int64(9))
	}
	f.Fuzz(func(t *testing.T, name string, created, fence int64) {
		if name == "" || created < 1 || fence < created {
			t.Skip()
		}
		d := core.Detached{Key: name + "/6dd18b3364141523", Created: created, Fence: fence, ID: id}
		token := tokenOf(d)
		if strings.ContainsFunc(string(token), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("the token %q", token)
		}
		if got, err := token.parse(); err != nil || got != d || token.Name() != name {
			t.Errorf("%q is %+v, want %+v, %v", token, got, d, err)
		}
	})
}

// TestTokensOfOthersAreInvalid.
func TestTokensOfOthersAreInvalid(t *testing.T) {
	t.Parallel()
	const id = "0b5e7a52-8a43-4a0e-b8f3-6f0a2f5b8a11"
	for _, token := range []Token{
		"", "a", "1:2:3:a/1", "2:2:3:" + id + ":a/1", "1:3:2:" + id + ":a/1", "1:0:3:" + id + ":a/1",
		"1:2:3:" + id + ":a", "1:2:3:" + id + ":a/1 ", "1:2:3:" + id + ":a/%zz",
		"1:99999999999999999999:3:" + id + ":a/1",
	} {
		if d, err := token.parse(); err == nil || token.Name() != "" {
			t.Errorf("%q is %+v", token, d)
		}
	}
}
