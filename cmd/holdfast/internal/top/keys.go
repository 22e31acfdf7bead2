package top

// The keys that have a meaning.
type key int

const (
	quit key = iota
	suspend
	up
	down
	pageUp
	pageDown
)

// sequences are the keys by the bytes that a terminal sends for them.
var sequences = []struct {
	text string
	key  key
}{
	{"\x1b[A", up},
	{"\x1bOA", up},
	{"\x1b[B", down},
	{"\x1bOB", down},
	{"\x1b[5~", pageUp},
	{"\x1b[6~", pageDown},
	{"k", up},
	{"j", down},
	{" ", pageDown},
	{"b", pageUp},
	{"q", quit},
	{"Q", quit},
	{"\x03", quit},    // Ctrl-C
	{"\x04", quit},    // Ctrl-D
	{"\x1a", suspend}, // Ctrl-Z
}

// keysOf returns the keys in the bytes of one read. Other keys have no effect.
func keysOf(typed []byte) (keys []key) {
	for len(typed) > 0 {
		skip := 1
		for _, s := range sequences {
			if len(typed) >= len(s.text) && string(typed[:len(s.text)]) == s.text {
				keys = append(keys, s.key)
				skip = len(s.text)
				break
			}
		}
		typed = typed[skip:]
	}
	return keys
}
