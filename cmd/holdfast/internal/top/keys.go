package top

import (
	"os"
	"time"
)

// The keys that have a meaning.
type key int

const (
	quit key = iota
	up
	down
	pageUp
	pageDown
)

// pollEvery bounds the time that the reader of the keyboard needs to see that it is to end.
const pollEvery = 50 * time.Millisecond

// readKeys sends the keys to a channel until done is closed or the terminal is gone, and then
// closes it.
func readKeys(in *os.File, done <-chan struct{}) <-chan key {
	keys := make(chan key)
	go func() {
		defer close(keys)
		buf := make([]byte, 256)
		for {
			select {
			case <-done:
				return
			default:
			}
			n, ended := readFor(in, buf, pollEvery)
			if ended {
				return
			}
			for _, k := range keysOf(buf[:n]) {
				select {
				case keys <- k:
				case <-done:
					return
				}
			}
		}
	}()
	return keys
}

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
	{"\x03", quit}, // Ctrl-C
	{"\x04", quit}, // Ctrl-D
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
