//go:build unix

package bridge_test

import (
	"bufio"
	"net/http"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// inherited returns both ends of a pipe whose reads block, as a client hands it to
// the process that it starts.
func inherited(t *testing.T) (in, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	in, w = os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() { in.Close(); w.Close() })
	return in, w
}

func blocks(t *testing.T, f *os.File) bool {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	if err := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }); err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK == 0
}

// No thread waits for the client. When the bridge ends it leaves the pipe as it was,
// and what is written then is not taken.
func TestStandardInput(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) }}
	in, w := inherited(t)
	outR, out := inherited(t)
	end, ended := direct(t, serve(t, s), in, out)
	if _, err := w.WriteString(ask1 + "\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(outR).ReadString('\n'); err != nil || line != `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n" {
		t.Errorf("answer %q, %v", line, err)
	}
	if blocks(t, in) {
		t.Error("a thread waits for the client")
	}
	if !blocks(t, out) {
		t.Error("a full pipe would be an error to write to")
	}
	end()
	within(t, ended)
	if !blocks(t, in) {
		t.Error("whoever reads the pipe next does not wait")
	}
	if _, err := w.WriteString("later\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(in).ReadString('\n'); err != nil || line != "later\n" {
		t.Errorf("the next reader got %q, %v", line, err)
	}
}

// One socket for both directions stays as it is: a write to it must be able to wait.
func TestOneSocket(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) }}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, its := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "its")
	defer its.Close()
	_, ended := direct(t, serve(t, s), its, its)
	if _, err := ours.WriteString(ask1 + "\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(ours).ReadString('\n'); err != nil {
		t.Error(err)
	}
	if !blocks(t, its) {
		t.Error("a full socket would be an error to write to")
	}
	ours.Close()
	within(t, ended)
}
