package fakeetcd

import (
	"runtime"
	"runtime/debug"
)

// Unwinding holds functions that end without a return, by name.
var Unwinding = map[string]func(){
	"panic":  func() { panic("oh") },
	"Goexit": runtime.Goexit, // called by t.FailNow
}

// Unwound runs fn in a goroutine and waits until it ends. It returns the recovered value of a panic
// and the stack at the recovery.
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
