package mutex

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Token names a detached lock, see [Lock.Detach]. It has the lock's key and fence, consists of
// printable ASCII characters without spaces, and is no secret: each user of etcd who may read the
// lock's key can make it. Later versions read it too.
type Token string

// tokenForm is "1:<create_revision>:<fence>:<id>:<key>", where 1 is the version of the form.
var tokenForm = regexp.MustCompile(
	`^1:([1-9][0-9]*):([1-9][0-9]*):([0-9a-f-]{36}):([!-~]+/[!-~]+)$`)

func tokenOf(d core.Detached) Token {
	key := (&url.URL{Path: "/" + d.Key}).EscapedPath()[1:]
	return Token(fmt.Sprintf("1:%d:%d:%s:%s", d.Created, d.Fence, d.ID, key))
}

func (t Token) parse() (core.Detached, error) {
	m := tokenForm.FindStringSubmatch(string(t))
	if m == nil {
		return core.Detached{}, errToken
	}
	created, err1 := strconv.ParseInt(m[1], 10, 64)
	fence, err2 := strconv.ParseInt(m[2], 10, 64)
	key, err3 := url.PathUnescape(m[4])
	if err1 != nil || err2 != nil || err3 != nil || fence < created {
		return core.Detached{}, errToken
	}
	return core.Detached{Key: key, Created: created, Fence: fence, ID: m[3]}, nil
}

var errToken = fmt.Errorf("mutex: %w: this is no token of a detached lock", gateway.ErrInvalid)

// Name returns the name of the lock, or an empty one if the token is not of [Lock.Detach].
func (t Token) Name() string {
	d, _ := t.parse()
	return d.Key[:max(0, strings.LastIndexByte(d.Key, '/'))]
}

func (t Token) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mutex: %s %q: %w", verb, t.Name(), err)
}
