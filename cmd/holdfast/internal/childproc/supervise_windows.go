package childproc

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Wait waits until the command has ended. If the hold is lost before, or is about to be, Wait ends
// the whole job first. Otherwise processes that the command left in its job continue.
func (p *Process) Wait() Result {
	lost := p.awaitExitOrLoss()
	if lost {
		p.terminate()
	}
	<-p.exited
	if p.waitErr != nil {
		p.r.warn("the end of the command: %v", p.waitErr)
	}
	if !lost {
		if err := limitJob(p.job, 0); err != nil { // else closing the job would end them
			p.r.warn("processes that the command has left are ended: %v", err)
		}
	}
	if err := windows.CloseHandle(p.job); err != nil {
		p.r.warn("the job of the command: %v", err)
	}
	return Result{Status: p.status, Lost: lost}
}

// terminate sends CTRL_BREAK to the command, and ends the job after the grace or shortly before the
// deadline. It returns when the job is empty, or after the deadline with a warning.
func (p *Process) terminate() {
	left := time.Until(p.hold.Deadline())
	if left > 0 {
		p.Signal(syscall.SIGTERM)
	}
	kill := time.NewTimer(min(p.grace, left-min(killMargin, p.grace/4)))
	defer kill.Stop()
	late := time.NewTimer(max(left, 0) + killMargin)
	defer late.Stop()
	poll := time.NewTicker(groupInterval)
	defer poll.Stop()
	for !p.empty() {
		select {
		case <-kill.C:
			p.kill()
		case <-late.C:
			p.r.warn("the command does not end although it was killed; another process may have " +
				"the hold already")
			return
		case <-poll.C:
		}
	}
}

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION.
type accounting struct {
	userTime, kernelTime, periodUserTime, periodKernelTime int64
	pageFaults, processes, active, terminated              uint32
}

// empty reports whether the job has no processes.
func (p *Process) empty() bool {
	var info accounting
	err := windows.QueryInformationJobObject(p.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	return err == nil && info.active == 0
}

// Raise does nothing on Windows, where no process ends by a signal: the exit status has its number.
func Raise(syscall.Signal) {}

// RaiseGroup does nothing on Windows.
func RaiseGroup(syscall.Signal) {}
