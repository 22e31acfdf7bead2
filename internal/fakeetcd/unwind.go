package fakeetcd

import (
	"runtime"
	"runtime/debug"
)

// Unwinding are the ways in which a function ends without a return.
var Unwinding = map[string]func(){
	"panic":  func() { panic("oh") },
	"Goexit": runtime.Goexit, // as t.FailNow does
}

// Unwound runs fn in a goroutine that recovers, until it has ended. It returns what was recovered, and the stack at that
// moment.
func Unwound(fn func()) (value any, stack string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { value, stack = recover(), string(debug.Stack()) }()
		fn()
	}()
	<-done
	return value, stack
}
