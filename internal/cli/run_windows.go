package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/windows"
)

// homeVariable leads to the home folder.
const homeVariable = "USERPROFILE"

// run starts another program and waits for it. An interrupt from the keyboard
// reaches the child by itself, and what becomes of it is the child's to say.
func (e Env) run(_ context.Context, path string, argv, environ []string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	cmd := &exec.Cmd{Path: path, Args: argv, Env: environ, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	err := cmd.Start()
	if err == nil {
		_ = cmd.Process.WithHandle(bind) // else it outlives us, with a token
		err = cmd.Wait()
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return &childExit{exited.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// bind has the system end a process together with this one, which may be killed in
// its place. What that process starts is its own affair, as everywhere.
func bind(process uintptr) {
	job, err := windows.CreateJobObject(nil, nil) // it is closed when we end
	if err != nil {
		return
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | windows.JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return
	}
	_ = windows.AssignProcessToJobObject(job, windows.Handle(process))
}
