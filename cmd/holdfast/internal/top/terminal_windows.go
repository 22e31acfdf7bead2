package top

import "os"

// supported reports whether [Run] can use a terminal of this system. Reading keys with a timeout
// and the signals of a terminal are not there on Windows.
const supported = false

func readKeys(*os.File, <-chan struct{}) <-chan key {
	keys := make(chan key)
	close(keys)
	return keys
}

func watchSignals() (signals <-chan os.Signal, stop func()) { return nil, func() {} }

func continued(os.Signal) bool { return false }

func stop(<-chan os.Signal) {}
