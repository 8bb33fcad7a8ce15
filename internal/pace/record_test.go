package pace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// The first failure costs nobody anything, and then the pauses double from a second
// to five minutes.
func TestPausesGrow(t *testing.T) {
	var r Record
	now := noon
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		r = r.Failed(now, now, "wiki", 0, 0)
		if got := r.Left(now, "wiki"); got != want*time.Second {
			t.Errorf("after failure %d: %v, want %v", i+1, got, want*time.Second)
		}
		now = now.Add(r.Left(now, "wiki") + time.Second)
	}
	if got := r.Failed(now, now, "wiki", 0, 1).Left(now, "wiki"); got != 150*time.Second {
		t.Errorf("with the most of chance: %v", got)
	}
	now = now.Add(memory + time.Minute)
	if got := r.Failed(now, now, "wiki", 0, 0).Left(now, "wiki"); got != 0 {
		t.Errorf("long after the trouble before: %v", got)
	}
}

// Fifty servers that are asked for side by side fail as one.
func TestFailuresTogetherAreOne(t *testing.T) {
	began := noon
	r := Record{}.Failed(began, noon.Add(time.Second), "s0", 0, 0)
	for i := range 49 {
		r = r.Failed(began, noon.Add(time.Duration(i+2)*time.Second), fmt.Sprint("s", i+1), 0, 0)
	}
	if got := r.Left(noon.Add(51*time.Second), "s0"); got != 0 || len(r.Failing) != 50 {
		t.Errorf("got %v, failing: %v", got, r.Failing)
	}
}

// One connection that fails holds back itself, until another one fails too.
func TestOneQuestionHoldsBackItself(t *testing.T) {
	now := noon
	step := func(r Record, about string) Record {
		now = now.Add(10 * time.Second)
		return r.Failed(now, now, about, 0, 0)
	}
	r := step(step(Record{}, "broken"), "broken")
	if r.Left(now, "broken") == 0 || r.Left(now, "other") != 0 {
		t.Errorf("broken: %v, other: %v", r.Left(now, "broken"), r.Left(now, "other"))
	}
	r = step(r, "other")
	if r.Left(now, "third") == 0 {
		t.Error("two questions have failed, and a third is asked")
	}
	r = step(step(Record{}, ""), "")
	if r.Left(now, "any") == 0 {
		t.Error("what all need has failed, and one is asked")
	}
}

// Two connections that fail whenever they are asked hold back the others once, for a
// moment. In an outage, where each question fails, all wait longer and longer.
func TestTwoQuestionsHoldBackThemselves(t *testing.T) {
	var r Record
	now, held := noon, time.Duration(0)
	fail := func(about string) {
		now = now.Add(r.Left(now, about) + time.Second)
		r = r.Failed(now, now, about, 0, 0)
		held += r.Left(now, "good")
	}
	for range 20 {
		fail("a")
		fail("b")
	}
	if held != shortest || r.Left(now, "a") != longest || r.Left(now, "b") != longest {
		t.Errorf("others were held for %v; a for %v and b for %v", held, r.Left(now, "a"), r.Left(now, "b"))
	}
	for i := range 10 {
		fail(fmt.Sprint("s", i))
	}
	if r.Left(now, "good") != longest {
		t.Errorf("in an outage others are held for %v", r.Left(now, "good"))
	}
	for i := range 2 * many {
		fail(fmt.Sprint("t", i))
	}
	if len(r.Failing) > many || r.Left(now, "another") != longest {
		t.Errorf("%d questions are remembered, and another one is held for %v", len(r.Failing), r.Left(now, "another"))
	}
}

func TestStatedPause(t *testing.T) {
	for _, row := range []struct {
		name  string
		pause time.Duration // of our own by then
		after time.Duration
		want  time.Duration // for all
		own   time.Duration // for the one that failed
	}{
		{"at the first failure", 0, time.Minute, time.Minute, time.Minute},
		{"absurd", 0, 24 * time.Hour, longest, longest},
		{"less than ours", 64 * time.Second, time.Second, time.Second, 128 * time.Second},
		{"more than ours", time.Second, time.Minute, time.Minute, time.Minute},
	} {
		r := Record{}
		if row.pause > 0 {
			r = Record{Last: noon.Add(-time.Minute), Pause: row.pause, Failing: []string{"wiki"}}
		}
		r = r.Failed(noon, noon, "wiki", row.after, 0)
		if got, own := r.Left(noon, "other"), r.Left(noon, "wiki"); got != row.want || own != row.own || r.Wanted(noon) != row.want {
			t.Errorf("%s: %v, its own %v, wanted %v", row.name, got, own, r.Wanted(noon))
		}
	}
	ours := Record{Last: noon.Add(-time.Minute), AllPause: time.Second, AllUntil: noon.Add(-time.Second), Stated: true}.Failed(noon, noon, "", 0, 0)
	if ours.Wanted(noon) != 0 || ours.Left(noon, "") != 2*time.Second {
		t.Errorf("a pause of our own is taken for the party's: %+v", ours)
	}
	asked := Record{}.Failed(noon, noon, "a", time.Minute, 0).Failed(noon.Add(time.Second), noon.Add(time.Second), "b", 0, 0)
	if left := asked.Wanted(noon.Add(time.Second)); left != 59*time.Second {
		t.Errorf("after another failure it has asked for %v", left)
	}
	if got := (Record{Until: noon.Add(time.Hour), AllUntil: noon.Add(time.Hour), Failing: []string{""}}).Left(noon, ""); got != 0 {
		t.Errorf("an absurd record holds for %v", got)
	}
}

// What an error tells of the party that was asked.
func TestJudge(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		took time.Duration
		is   verdict
		mute bool
	}{
		{"an answer", nil, 0, fine, false},
		{"an unusable answer", fmt.Errorf("x: %w", &endpoint.CheckError{Rule: "X6"}), 0, fine, false},
		{"a refusal", &endpoint.Error{Status: 400, Code: "invalid_grant"}, 0, fine, false},
		{"a refusal with a server's status", &endpoint.Error{Status: 500, Code: "access_denied"}, 0, fine, false},
		{"out of order", &endpoint.Error{Status: 503}, 0, bad, false},
		{"overloaded", &endpoint.Error{Status: 429, Code: "slow_down"}, 0, bad, false},
		{"a hotel's page", &endpoint.Error{Status: 200, Strange: "a web page"}, 0, unknown, false},
		{"metadata out of order", &discover.StatusError{Status: 502}, 0, bad, false},
		{"no metadata", &discover.StatusError{Status: 404}, 0, unknown, false},
		{"reset", fmt.Errorf("ask: %w", syscall.ECONNRESET), 0, bad, true},
		{"cut", fmt.Errorf("ask: %w", io.ErrUnexpectedEOF), 0, bad, true},
		{"refused", fmt.Errorf("ask: %w", syscall.ECONNREFUSED), 0, bad, true},
		{"no network", fmt.Errorf("ask: %w", syscall.ENETUNREACH), 0, unknown, false},
		{"too slow", context.DeadlineExceeded, 5 * time.Second, bad, true},
		{"too little time", context.DeadlineExceeded, time.Second, unknown, false},
		{"slow by its own limit", fmt.Errorf("ask: %w", timeout{}), time.Second, bad, true},
		{"the caller has gone", context.Canceled, 5 * time.Second, unknown, false},
		{"others were faster", &state.Busy{Err: context.DeadlineExceeded}, 6 * time.Second, unknown, false},
		{"it was not asked", &Held{}, 0, unknown, false},
		{"it was not asked, since it was mute", &Held{Mute: true}, 5 * time.Second, unknown, false},
		{"another error", errors.New("x"), 0, unknown, false},
	} {
		if o := judge(row.err, row.took); o.is != row.is || o.mute != row.mute {
			t.Errorf("%s: %+v", row.name, o)
		}
	}
}

type timeout struct{}

func (timeout) Error() string { return "i/o timeout" }
func (timeout) Timeout() bool { return true }
