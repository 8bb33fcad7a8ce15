package resilience

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// writing are the system calls that change something outside of the process, or
// take a lock.
var writing = []string{"openat", "write", "fsync", "renameat", "unlinkat", "fchmod", "mkdirat", "flock", "connect", "close"}

// killedAt runs a command under strace, which kills it when it enters the k-th
// system call of this kind. It reports whether it came to that.
func (l *laptop) killedAt(call string, k int, args ...string) bool {
	l.t.Helper()
	strace := []string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, k), os.Getenv("MCPAUTH_BIN")}
	cmd := exec.Command("strace", append(strace, args...)...)
	cmd.Env = append(l.env, "GOMAXPROCS=1") // strace counts for each thread
	d := finish(cmd)
	if d.exit == 0 {
		return false
	}
	if d.exit != -1 && d.exit != 137 {
		l.t.Fatalf("kill at %s %d: %v", call, k, d)
	}
	return true
}

// points kills a command at the first, second … call of each kind, until it gets
// to its end, and lets check look at what is left each time.
func (l *laptop) points(most int, before func(), check func(where string), args ...string) int {
	l.t.Helper()
	n := 0
	for _, call := range writing {
		step := 1
		if !full() {
			step = 3
		}
		for k := 1; k <= 400 && n < most; k += step {
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
	needs(t, "strace")
	l := newLaptop(t, 1)
	l.signIn(false)
	back := l.keep("signed-in")
	n := l.points(times(40, 10000), back, l.sound, "token", "s0")
	t.Logf("killed at %d points of the cold path; every next run succeeded", n)
}

// The same for a renewal, at an identity provider that takes a refresh token
// again, as Okta and others do for some seconds after it was used.
func TestFaultsKilledRenewing(t *testing.T) {
	needs(t, "strace")
	l := newLaptop(t, 1, func(c *idjagtest.Company) { c.IdP.NoRotation = true })
	l.signIn(true)
	back := l.keep("stale")
	n := l.points(times(40, 10000), back, l.sound, "token", "s0")
	t.Logf("killed at %d points of a renewal; every next run succeeded", n)
}

// At one that ends the sign-in at the second use of a refresh token, the sign-in
// is lost when the process dies between the identity provider's decision and the
// end of writing its answer down, and only then: no client can help that. What is
// left is then no ruin: the person is told to sign in, and that is all it takes.
func TestFaultsKilledRotating(t *testing.T) {
	needs(t, "strace")
	l := newLaptop(t, 1)
	lost := 0
	start := func() {
		l.must("logout")
		l.signIn(true)
	}
	l.signIn(false)
	n := l.points(times(20, 10000), start, func(where string) {
		decided := l.IdP.Granted(idjagtest.Refresh) == 1
		if d := l.try("token", "s0"); d.exit == 3 && decided && strings.Contains(d.err, "mcpauth login") && !warned.MatchString(d.err) {
			lost++
			l.must("login")
		}
		l.sound(where)
	}, "token", "s0")
	t.Logf("killed at %d points of a renewal with rotation; %d of them between the identity provider's decision and its keeping", n, lost)
}

// needs skips where a tool of Debian is not installed; .ci/run installs them all.
func needs(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
}
