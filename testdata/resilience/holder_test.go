package resilience

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// holder is a process that has a lock and waits for a party's answer. The
// identity provider lets it go when release is closed.
func (l *laptop) holder(p *idjagtest.Party, kind string, args ...string) (r *running, release chan struct{}) {
	l.t.Helper()
	hit := make(chan struct{})
	release = make(chan struct{})
	p.SetFault(kind, idjagtest.Fault{Times: 1, Wait: release, OnHit: func() { close(hit) }})
	r = l.start(args...)
	select {
	case <-hit:
	case <-time.After(20 * time.Second):
		l.t.Fatalf("no request for %s came", kind)
	}
	return r, release
}

// Whoever has the lock and is stopped blocks nobody who has a valid token, and
// the others only until their own deadline; when it is killed they go on.
func TestCrowdHolderIsStopped(t *testing.T) {
	l := newLaptop(t, 2)
	l.signIn(false)
	kept := l.token("s1")
	h, _ := l.holder(&l.IdP.Party, idjagtest.Exchange, "token", "s0")
	h.signal(syscall.SIGSTOP)
	if got := l.token("s1"); got != kept {
		t.Error("a valid token was not served")
	}
	start := time.Now()
	d := l.try("token", "s0")
	if took := time.Since(start); d.exit != 6 || !strings.Contains(d.err, "another") || took > 8*time.Second {
		t.Errorf("a waiter after %v: %v", took, d)
	}
	waiter := l.start("token", "s0")
	eventually(t, "the waiter waits", waiter.waits)
	h.signal(syscall.SIGKILL)
	h.wait()
	if d := waiter.wait(); d.exit != 0 {
		t.Errorf("the waiter after the holder was killed: %v", d)
	}
}

// A renewal that hangs at the identity provider ends within its deadline, and so
// do those who wait for it; the refresh token is not used twice.
func TestCrowdHolderHangs(t *testing.T) {
	l := newLaptop(t, 2)
	l.signIn(false)
	kept := l.token("s1")
	l.signIn(true)
	h, release := l.holder(&l.IdP.Party, idjagtest.Refresh, "token", "s0")
	waiter := l.start("token", "s0")
	eventually(t, "the waiter waits", waiter.waits)
	if got := l.token("s1"); got != kept {
		t.Error("a valid token was not served")
	}
	if d := waiter.wait(); d.exit != 6 {
		t.Errorf("the waiter: %v", d)
	}
	close(release)
	if d := h.wait(); d.exit != 6 && d.exit != 0 {
		t.Errorf("the holder: %v", d)
	}
	l.token("s0") // with what the late answer brought
	l.counts(&l.IdP.Party, idjagtest.Refresh, 1)
}

// SIGINT and SIGTERM end a waiter at once, with nothing on standard output.
func TestCrowdWaiterIsEnded(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	h, release := l.holder(&l.IdP.Party, idjagtest.Exchange, "token", "s0")
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		waiter := l.start("token", "s0")
		eventually(t, "the waiter waits", waiter.waits)
		start := time.Now()
		waiter.signal(s)
		d := waiter.wait()
		if took := time.Since(start); d.exit != 1 || d.out != "" || took > time.Second {
			t.Errorf("after %v, %v later: %v", s, took, d)
		} else {
			t.Logf("%v ended a waiter within %v", s, took)
		}
	}
	close(release)
	if d := h.wait(); d.exit != 0 {
		t.Errorf("the holder: %v", d)
	}
}

// Sign-ins that are started at once share one window.
func TestCrowdSharesOneWindow(t *testing.T) {
	l := newLaptop(t, 1)
	first, release := l.holder(&l.IdP.Party, idjagtest.Code, "login")
	var others []*running
	for range 9 {
		r := l.start("login")
		eventually(t, "the sign-in waits", r.waits)
		others = append(others, r)
	}
	close(release)
	for i, r := range append(others, first) {
		if d := r.wait(); d.exit != 0 {
			t.Errorf("sign-in %d: %v", i, d)
		}
	}
	if got := l.windows(); got != 1 {
		t.Errorf("%d windows, want 1", got)
	}
}

// Five windows in ten minutes of which nothing came, then a clear word, and a way
// on without a window.
func TestCrowdOfWindows(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	before := l.windows()
	l.env = append(l.env, "PASSWORD=wrong")
	for range 5 {
		l.try("login", "--timeout", "2s")
	}
	d := l.try("login", "--timeout", "2s")
	if d.exit != 3 || !strings.Contains(d.err, "5 sign-in windows were opened") || !strings.Contains(d.err, "mcpauth login --no-browser") {
		t.Errorf("the sixth: %v", d)
	}
	if got := l.windows() - before; got != 5 {
		t.Errorf("%d windows, want 5", got)
	}
	if d := l.try("login", "--no-browser", "--timeout", "100ms"); strings.Contains(d.err, "windows were opened") {
		t.Errorf("without a window: %v", d)
	}
	l.token("s0") // the sign-in that is there goes on
}
