package resilience

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// writing are the system calls that change something outside of the process, or
// take a lock.
var writing = []string{"openat", "write", "fsync", "renameat", "unlinkat", "fchmod", "mkdirat", "flock", "connect", "close"}

// killedAt runs a command under strace, which kills it when it enters the k-th
// system call of this kind. It reports whether it came to that. A person visits the
// addresses that the command prints.
func (l *laptop) killedAt(call string, k int, args ...string) bool {
	l.t.Helper()
	strace := []string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, k), os.Getenv("MCPAUTH_BIN")}
	cmd := exec.Command("strace", append(strace, args...)...)
	cmd.Env = append(l.env, "GOMAXPROCS=1") // strace counts for each thread
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said := &listener{visit: func(address string) { _ = l.person(ctx, address) }}
	cmd.Stderr = said
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	exit := cmd.ProcessState.ExitCode()
	if exit == 0 {
		return false
	}
	if exit != -1 && exit != 137 {
		l.t.Fatalf("kill at %s %d: exit %d, %s", call, k, exit, said.text)
	}
	return true
}

// listener visits the first address to sign in at that is written to it.
type listener struct {
	text  []byte
	visit func(address string)
	once  sync.Once
}

var signInAddress = regexp.MustCompile(`(http://\S+/authorize\?\S+)\s`)

func (l *listener) Write(b []byte) (int, error) {
	l.text = append(l.text, b...)
	if m := signInAddress.FindSubmatch(l.text); m != nil {
		l.once.Do(func() { go l.visit(string(m[1])) })
	}
	return len(b), nil
}

// points kills a command at the first, second … call of each kind, until it gets
// to its end, and lets check look at what is left each time. A sample takes some of
// each kind.
func (l *laptop) points(before func(), check func(where string), args ...string) int {
	l.t.Helper()
	n, step := 0, times(9, 1)
	for i, call := range writing {
		for k := 1 + (3*i)%step; k <= 1000; k += step {
			before()
			if !l.killedAt(call, k, args...) {
				break
			}
			n++
			check(fmt.Sprintf("%s %d", call, k))
		}
	}
	return n
}

// warned looks for words about damage.
var warned = regexp.MustCompile(`damaged|moved aside|cannot be read|not the JSON|panic`)

// sound demands that the state is readable and the next run succeeds, and says
// nothing of damage.
func (l *laptop) sound(where string) {
	l.t.Helper()
	var any map[string]any
	b, err := os.ReadFile(filepath.Join(l.state(), "state.json"))
	if err != nil || json.Unmarshal(b, &any) != nil {
		l.t.Errorf("after a kill at %s the state is not readable: %v", where, err)
	}
	if d := l.try("token", "s0"); d.exit != 0 || warned.MatchString(d.err) {
		l.t.Errorf("after a kill at %s: %v", where, d)
	} else if _, ok := l.AS.Lookup(strings.TrimSpace(d.out)); !ok {
		l.t.Errorf("after a kill at %s the answer is no token", where)
	}
}

// A process that is killed at any system call of the cold path leaves a sign-in
// that works.
func TestFaultsKilledCold(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLaptop(t, 1)
	l.signIn(false)
	back := l.keep("signed-in")
	n := l.points(back, l.sound, "token", "s0")
	enough(t, n, "the cold path")
}

// The same for a renewal, at an identity provider that takes a refresh token
// again, as Okta and others do for some seconds after it was used.
func TestFaultsKilledRenewing(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLaptop(t, 1, func(c *idjagtest.Company) { c.IdP.NoRotation = true })
	l.signIn(true)
	back := l.keep("stale")
	n := l.points(back, l.sound, "token", "s0")
	enough(t, n, "a renewal")
}

// At one that ends the sign-in at the second use of a refresh token, the sign-in
// is lost when the process dies between the identity provider's decision and the
// end of writing its answer down, and only then: no client can help that. What is
// left is then no ruin: the person is told to sign in, and that is all it takes.
func TestFaultsKilledRotating(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLaptop(t, 1)
	lost := 0
	start := func() {
		l.must("logout")
		l.signIn(true)
	}
	l.signIn(false)
	n := l.points(start, func(where string) {
		decided := l.IdP.Granted(idjagtest.Refresh) == 1
		if d := l.try("token", "s0"); d.exit == 3 && decided && strings.Contains(d.err, "mcpauth login") && !warned.MatchString(d.err) {
			lost++
			l.must("login")
		}
		l.sound(where)
	}, "token", "s0")
	enough(t, n, "a renewal with rotation")
	t.Logf("%d of them between the identity provider's decision and its keeping", lost)
}

// A sign-in that is killed anywhere takes none away that was there, and the next one
// works, whether there was one or not.
func TestFaultsKilledSigningIn(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLaptop(t, 1)
	fresh := l.write(".local/state/mcpauth/locks/x", "")
	none := l.keep("none")
	signIn := []string{"login", "--no-browser", "--timeout", "30s"}
	n := l.points(none, func(where string) {
		if d := l.try("token", "s0"); d.exit != 0 && d.exit != 3 || warned.MatchString(d.err) {
			l.t.Errorf("after a kill at %s: %v", where, d)
		}
		l.must("login")
		l.sound(where)
	}, signIn...)
	enough(t, n, "the first sign-in")
	if err := os.Remove(fresh); err != nil {
		t.Fatal(err)
	}
	l.signIn(false)
	back := l.keep("signed-in")
	n = l.points(back, func(where string) {
		l.sound(where)
		l.must("login")
		l.sound(where)
	}, signIn...)
	enough(t, n, "a second sign-in")
}

// tracking is a laptop with a consent to a server outside the company, whose token
// has to be renewed.
func tracking(t *testing.T, options ...func(*idjagtest.Company)) (l *laptop, tracker abroad) {
	l = newLaptop(t, 1)
	options = append(options, func(c *idjagtest.Company) { c.AS.TokenLifetime = time.Millisecond })
	tracker = l.addAbroad("tracker", map[string]any{}, options...)
	l.must("login", "tracker", "--timeout", "30s")
	tracker.AS.TokenLifetime = 0
	l.forget()
	return l, tracker
}

// soundAbroad is sound for a consent.
func (l *laptop) soundAbroad(where string, a abroad) {
	l.t.Helper()
	if d := l.try("token", a.server); !a.issued(d) || warned.MatchString(d.err) {
		l.t.Errorf("after a kill at %s: %v", where, d)
	}
}

// A killed renewal of a consent costs nothing where refresh tokens may be used
// again.
func TestFaultsKilledRenewingConsent(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l, tracker := tracking(t, func(c *idjagtest.Company) { c.AS.NoRotation = true })
	back := l.keep("stale")
	n := l.points(back, func(where string) { l.soundAbroad(where, tracker) }, "token", "tracker")
	enough(t, n, "a consent's renewal")
}

// And with rotation the consent is lost between the authorization server's decision
// and its keeping, and only then; the person agrees again, and that is all it takes.
func TestFaultsKilledRotatingConsent(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l, tracker := tracking(t)
	lost := 0
	n := l.points(func() {
		l.must("logout", "tracker")
		tracker.AS.TokenLifetime = time.Millisecond
		l.must("login", "tracker", "--timeout", "30s")
		tracker.AS.TokenLifetime = 0
		l.forget()
	}, func(where string) {
		decided := tracker.AS.Granted(idjagtest.Refresh) == 1
		if d := l.try("token", "tracker"); d.exit == 3 && decided && strings.Contains(d.err, "mcpauth login tracker") && !warned.MatchString(d.err) {
			lost++
			l.must("login", "tracker", "--timeout", "30s")
		}
		l.soundAbroad(where, tracker)
	}, "token", "tracker")
	enough(t, n, "a consent's renewal with rotation")
	t.Logf("%d of them between the authorization server's decision and its keeping", lost)
}

// A consent that is killed anywhere, its registration too, can be given the next
// time.
func TestFaultsKilledAgreeing(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLaptop(t, 1)
	tracker := l.addAbroad("tracker", map[string]any{})
	l.signIn(false)
	none := l.keep("none")
	n := l.points(none, func(where string) {
		if d := l.try("token", "tracker"); d.exit != 0 && d.exit != 3 || warned.MatchString(d.err) {
			l.t.Errorf("after a kill at %s: %v", where, d)
		}
		l.must("login", "tracker", "--timeout", "30s")
		l.soundAbroad(where, tracker)
		l.sound(where)
	}, "login", "tracker", "--no-browser", "--timeout", "30s")
	enough(t, n, "a consent")
}

// enough keeps a run from passing for nothing: all paths together have more than 300.
func enough(t *testing.T, n int, of string) {
	t.Helper()
	if n < times(3, 30) {
		t.Errorf("%d points of %s are too few", n, of)
	}
	t.Logf("killed at %d points of %s; every next run succeeded", n, of)
}

// needs skips where a tool of Debian is not installed; .ci/run installs them all.
func needs(t testing.TB, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
}
