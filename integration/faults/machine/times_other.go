//go:build !linux

package machine

func processorTimes() (times, bool) { return times{}, false }
