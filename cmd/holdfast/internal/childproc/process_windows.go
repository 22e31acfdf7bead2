package childproc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Runner starts commands. Its methods are safe for concurrent use. Windows has no job control and
// no orphans to reap, so it has no state.
type Runner struct {
	warn func(format string, args ...any)
}

// NewRunner returns a runner that reports problems to warn.
func NewRunner(warn func(format string, args ...any)) *Runner { return &Runner{warn} }

// Close does nothing on Windows.
func (r *Runner) Close() {}

// Process is a command that was started. Its methods are safe for concurrent use.
type Process struct {
	r       *Runner
	pid     uint32 // number of the command and of its console group
	job     windows.Handle
	hold    Hold
	grace   time.Duration
	exited  chan struct{} // closed when the command has ended
	status  int           // set before exited is closed
	waitErr error
}

// Start starts a command. Wait must be called after a success. Start returns [ErrHoldEnded] if the
// hold has ended, and an error of package os or os/exec if the command cannot be started.
func (r *Runner) Start(c Command, hold Hold) (*Process, error) {
	path, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil, err
	}
	p := &Process{r: r, hold: hold, grace: c.Grace, exited: make(chan struct{})}
	if !p.holdValid() {
		return nil, ErrHoldEnded
	}
	if p.job, err = newJob(); err != nil {
		return nil, err
	}
	// It starts suspended, so that it starts no process outside of the job.
	child, err := os.StartProcess(path, c.Args, &os.ProcAttr{
		Env: c.Env, Files: []*os.File{c.Stdin, c.Stdout, c.Stderr},
		Sys: &syscall.SysProcAttr{
			CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_SUSPENDED,
		},
	})
	if err != nil {
		return nil, errors.Join(err, windows.CloseHandle(p.job))
	}
	p.pid = uint32(child.Pid)
	if err := p.admit(); err != nil {
		err = errors.Join(err, child.Kill(), windows.CloseHandle(p.job))
		_, waitErr := child.Wait()
		return nil, errors.Join(err, waitErr)
	}
	go p.await(child)
	return p, nil
}

// newJob returns a job whose processes end when this process does.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, os.NewSyscallError("CreateJobObject", err)
	}
	if err := limitJob(job, windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE); err != nil {
		return 0, errors.Join(err, windows.CloseHandle(job))
	}
	return job, nil
}

func limitJob(job windows.Handle, flags uint32) error {
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: flags},
	}
	_, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return os.NewSyscallError("SetInformationJobObject", err)
}

// resumeProcess continues all threads of a process. Package os closes the handle of the first
// thread, which ResumeThread would need.
var resumeProcess = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

// admit puts the suspended command into the job and continues it.
func (p *Process) admit() (err error) {
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE |
		windows.PROCESS_SUSPEND_RESUME
	h, err := windows.OpenProcess(access, false, p.pid)
	if err != nil {
		return os.NewSyscallError("OpenProcess", err)
	}
	defer func() { err = errors.Join(err, windows.CloseHandle(h)) }()
	if err := windows.AssignProcessToJobObject(p.job, h); err != nil {
		return os.NewSyscallError("AssignProcessToJobObject", err)
	}
	if err := resumeProcess.Find(); err != nil {
		return err
	}
	if status, _, _ := resumeProcess.Call(uintptr(h)); status != 0 {
		return os.NewSyscallError("NtResumeProcess", windows.NTStatus(status))
	}
	return nil
}

func (p *Process) await(child *os.Process) {
	defer close(p.exited)
	state, err := child.Wait()
	if err != nil {
		p.status, p.waitErr = 1, err
		return
	}
	p.status = state.ExitCode()
}

// Signal ends the command by SIGKILL. For any other signal it sends CTRL_BREAK to the processes of
// its console. It must not be called after Wait has returned.
func (p *Process) Signal(s os.Signal) {
	if s == syscall.SIGKILL {
		p.kill()
		return
	}
	if err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, p.pid); err != nil {
		p.r.warn("cannot pass %v on to the command: %v", s, err)
	}
}

func (p *Process) kill() {
	if err := windows.TerminateJobObject(p.job, uint32(codeKilled)); err != nil {
		p.r.warn("cannot end the command (process %d): %v", p.pid, err)
	}
}

// codeKilled is the exit status of a command that was killed, as in shells on Unix.
const codeKilled = 128 + int(syscall.SIGKILL)
