package line

import (
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// Marked members. The name of a key with a [Join.Mark] begins with a 0, as no lease in hexadecimal
// does. So all of them, and the settings before them, lie in a small range of their own, and a
// member that depends on them need not read and watch the others.

const markedDigit = "0"

// reserveKey is [core.Session.ReserveKey] with the mark of the join.
func (l *Line) reserveKey(j Join) (key string, others int, free func()) {
	key, others, free = l.Session.ReserveKey(l.Name)
	if j.Mark != "" {
		key = l.prefix() + markedDigit + strings.TrimPrefix(key, l.prefix()) + j.Mark
	}
	return key, others, free
}

// settingsAndMarked returns the range of the settings and of the members with a mark, of which a
// slash and a 0 are the first characters.
func (l *Line) settingsAndMarked() (key string, to gateway.Option) {
	return l.SettingKey(""), gateway.Range(l.prefix() + "1")
}

func (l *Line) isMarked(m Member) bool { return strings.HasPrefix(m.Key, l.prefix()+markedDigit) }
