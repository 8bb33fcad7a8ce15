//go:build unix

package bridge

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// polled returns a way to read the client's pipe for which no thread waits: a thread
// that blocks in a read has to be woken for every message, and the work to be handed
// to another one, which takes longer than the work. Such a read also ends when it is
// closed. What is no pipe or socket, or is written to by us as well, stays as it is.
// done leaves the pipe as it was.
func polled(in io.Reader, out io.Writer) (r io.Reader, done func()) {
	nothing := func() {}
	f, ok := in.(*os.File)
	if !ok {
		return in, nothing
	}
	about, err := f.Stat()
	if err != nil || about.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 || isFile(out, about) || isFile(os.Stderr, about) {
		return in, nothing
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return in, nothing
	}
	own := -1
	set := func(on bool) error { // for all who hold this end of the pipe
		var err error
		if e := raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), on) }); e != nil {
			return e
		}
		return err
	}
	_ = raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK == 0 {
			own, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if own < 0 {
		return in, nothing
	}
	if set(true) != nil {
		_ = unix.Close(own)
		return in, nothing
	}
	p := os.NewFile(uintptr(own), f.Name())
	return p, func() {
		p.Close()
		_ = set(false)
	}
}

// isFile reports whether w writes to this very pipe.
func isFile(w io.Writer, about os.FileInfo) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	other, err := f.Stat()
	return err != nil || os.SameFile(about, other)
}
