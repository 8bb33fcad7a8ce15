package resilience

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// A token that seems to come from the time to come, since the clock was set back, is
// not kept for as much longer than it is good. Where nothing newer can be had with
// such a clock, it is served with a warning.
func TestFaultsNoEndlessCache(t *testing.T) {
	for _, jump := range jumps {
		l := newLaptop(t, 1)
		l.signIn(false)
		good := l.token("s0") + "\n"
		if d := l.inside(jump, "token", "s0"); jump < 0 && !l.issued(d) {
			t.Errorf("set by %v: a good token is not served: %v", jump, d)
		}
		if d := l.inside(jump, "token", "s0", "--fresh"); d.out == good {
			t.Errorf("set by %v: the old token is taken for a new one", jump)
		}
		later := 16 * time.Minute // when the token is of no use
		if jump < 0 && jump > -later {
			later -= jump // such a clock shows no more that it was set back
		}
		l.Advance(later)
		if d := l.inside(jump+later, "token", "s0"); d.out == good && !strings.Contains(d.err, "warning: using a token") || d.exit == 0 && d.out != good && !l.issued(d) {
			t.Errorf("set by %v, %v later: an expired token is served: %v", jump, later, d)
		}
	}
}

// asleep stands before a party. The computer falls asleep after the party has
// answered and before the answer is read.
func asleep(h http.Handler, path string, fallAsleep func()) string {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		if strings.HasSuffix(r.URL.Path, path) {
			fallAsleep()
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})).URL
}

// A token that arrived while the computer slept is as old as the question, not as
// the moment when it woke up.
func TestFaultsAsleepWhileAnswered(t *testing.T) {
	var ahead atomic.Int64
	var sleep func()
	l := newLaptop(t, 1, func(c *idjagtest.Company) { c.AS.Issuer = asleep(c.AS, "/token", func() { sleep() }) })
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	nap := func() {
		ahead.Add(int64(10 * time.Minute))
		l.Advance(10 * time.Minute)
	}
	sleep = func() {}
	l.signIn(false)
	sleep = nap
	first := l.insideAt(now, "token", "s0", "--fresh")
	if !l.issued(first) {
		t.Fatal(first)
	}
	sleep = func() {}
	ahead.Add(int64(6 * time.Minute)) // sixteen since it was issued for fifteen
	l.Advance(6 * time.Minute)
	if d := l.insideAt(now, "token", "s0"); !l.issued(d) || d.out == first.out {
		t.Errorf("an expired token is served: %v", d)
	}
}
