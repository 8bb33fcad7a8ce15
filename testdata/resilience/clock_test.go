package resilience

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// A clock that goes wrong takes no token away that is good by it. What is asked for
// then is bounded; that a new token cannot be had is said with a word on the clock.
func TestFaultsClock(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute, -24 * time.Hour, 24 * time.Hour} {
		l := newLaptop(t, 1)
		l.signIn(false)
		good := l.token("s0") + "\n"
		if d := l.inside(skew, "token", "s0"); skew < 15*time.Minute && d.out != good {
			t.Errorf("clock %v wrong: %v", skew, d)
		}
		d := l.inside(skew, "token", "s0", "--fresh")
		if d.exit != 0 && !strings.Contains(d.err, "clock") && !strings.Contains(d.err, "mcpauth login") {
			t.Errorf("clock %v wrong: %v", skew, d)
		}
		t.Logf("clock %v wrong: a new token ends with %.120s", skew, d.String())
	}
}

// jumps are what a clock does when it is set, or when a computer wakes up.
var jumps = []time.Duration{-24 * time.Hour, -10 * time.Minute, 10 * time.Minute, 24 * time.Hour}

// negative is a length of time that has passed already.
var negative = regexp.MustCompile(`(^|[^\d-])-\d+ ?(s|min|h|m|d)\b`)

// After the clock was set, a token is served while it is good.
func TestFaultsClockIsSet(t *testing.T) {
	for _, jump := range jumps {
		l := newLaptop(t, 1)
		l.signIn(false)
		good := l.token("s0") + "\n"
		if d := l.inside(jump, "token", "s0"); !l.issued(d) && jump < time.Hour {
			t.Errorf("set by %v: %v", jump, d)
		} else if jump > 0 && jump < 15*time.Minute && d.out != good {
			t.Errorf("set by %v: a good token is not served", jump)
		}
		if d := l.inside(jump, "status"); negative.MatchString(d.out) || d.exit != 0 {
			t.Errorf("set by %v: %v\n%s", jump, d, d.out)
		}
		if d := l.inside(0, "token", "s0"); !l.issued(d) {
			t.Errorf("set by %v and back: %v", jump, d)
		}
	}
}

// A clock that was set back while nobody answers: what is there is served, since
// nobody knows better.
func TestFaultsClockIsSetBackInAnOutage(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	good := l.token("s0") + "\n"
	for _, p := range l.parties() {
		p.Close()
	}
	for _, jump := range jumps[:3] {
		if d := l.inside(jump, "token", "s0"); d.out != good {
			t.Errorf("set by %v: %v", jump, d)
		}
	}
}

// A process that is stopped for longer than a token's life does not hand out the one
// that came meanwhile.
func TestFaultsStopped(t *testing.T) {
	const life = 4 * time.Second
	l := newLaptop(t, 1, func(c *idjagtest.Company) { c.AS.TokenLifetime = life })
	l.signIn(false)
	h, release := l.holder(&l.IdP.Party, idjagtest.Exchange, "token", "s0")
	waiter := l.start("token", "s0")
	eventually(t, "the waiter waits", waiter.waits)
	waiter.signal(syscall.SIGSTOP)
	close(release)
	first := h.wait()
	if !l.issued(first) {
		t.Fatal(first)
	}
	<-time.After(life)
	waiter.signal(syscall.SIGCONT)
	if d := waiter.wait(); d.out == first.out || d.exit == 0 && !l.issued(d) || d.exit != 0 && d.exit != 6 {
		t.Errorf("after the stop: %v", d)
	}
	if d := l.try("token", "s0"); !l.issued(d) {
		t.Errorf("the next one: %v", d)
	}
}
