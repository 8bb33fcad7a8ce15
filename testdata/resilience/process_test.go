package resilience

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running is a process that has not ended yet.
type running struct {
	t        testing.TB
	cmd      *exec.Cmd
	out, err bytes.Buffer
	ended    chan struct{}
}

func (l *laptop) start(args ...string) *running {
	l.t.Helper()
	r := &running{t: l.t, cmd: l.command(args...), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if err := r.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = r.cmd.Process.Kill(); <-r.ended })
	go func() { _ = r.cmd.Wait(); close(r.ended) }()
	return r
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) wait() done {
	<-r.ended
	return done{r.out.String(), r.err.String(), r.cmd.ProcessState.ExitCode()}
}

// waits reports whether the process has one of mcpauth's lock files open, as
// whoever holds a lock has, and whoever waits for one.
func (r *running) waits() bool {
	folder := fmt.Sprintf("/proc/%d/fd", r.cmd.Process.Pid)
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil && strings.HasSuffix(to, ".lock") {
			return true
		}
	}
	return false
}

// watched waits for the end and returns the largest resident set in KiB. What the
// kernel tells of a process that has ended includes its parent before exec.
func (r *running) watched() (memory int64, d done) {
	path := fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid)
	for {
		select {
		case <-r.ended:
			return memory, r.wait()
		case <-time.After(2 * time.Millisecond):
		}
		b, _ := os.ReadFile(path)
		if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
			var now int64
			_, _ = fmt.Sscan(rest, &now)
			memory = max(memory, now)
		}
	}
}
