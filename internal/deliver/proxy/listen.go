package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Listen listens on the literal IPv4 loopback address, at a free port for 0.
func Listen(port int) (net.Listener, error) {
	config := net.ListenConfig{Control: exclusive}
	l, err := config.Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, &Unlistenable{Place: "port " + strconv.Itoa(port), Err: err}
	}
	return l, nil
}

// Unlistenable says that the proxy cannot listen where it was told to.
type Unlistenable struct {
	Place string
	Why   string // "" when Err says it
	Err   error
}

func (e *Unlistenable) Error() string {
	if e.Why != "" {
		return "listen at " + e.Place + ": " + e.Why
	}
	return fmt.Sprintf("listen at %s: %v", e.Place, e.Err)
}

func (e *Unlistenable) Unwrap() error { return e.Err }

// ListenSocket listens at a Unix socket that only this account can reach: its
// folder must be this account's and closed to all others, since on some systems
// the mode of the socket itself means nothing. Closing the listener removes it.
func ListenSocket(path string) (net.Listener, error) {
	fail := func(why string, err error) (net.Listener, error) {
		return nil, &Unlistenable{Place: path, Why: why, Err: err}
	}
	if why := ownFolder(filepath.Dir(path)); why != "" {
		return fail(why, nil)
	}
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode().Type() != os.ModeSocket {
			return fail("there is something else at this path", nil)
		}
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return fail("another program listens there", nil)
		}
		if err := os.Remove(path); err != nil { // left behind by one that was killed
			return fail("", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fail("", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return fail("", err)
	}
	return l, nil
}
