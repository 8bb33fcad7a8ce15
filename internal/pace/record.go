package pace

import (
	"context"
	"errors"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

const (
	// shortest and longest are the pauses after the second failure in a row and after
	// the tenth. The first one costs nobody a pause: most troubles are over at once.
	shortest = time.Second
	longest  = 5 * time.Minute
	// jitter is the part of a pause that is left to chance, so that a company's
	// computers do not come back together.
	jitter = 0.5
	// memory is how long failures count as being in a row.
	memory = 2 * longest
	// impatience is a time after which a request that got no answer says more of its
	// caller than of the party.
	impatience = 2 * time.Second
)

// Record is what is known of a party that did not answer as it should.
type Record struct {
	Until   time.Time     `json:"until"`
	Pause   time.Duration `json:"pause"` // before chance; zero after the first failure
	Last    time.Time     `json:"last"`  // failure
	About   string        `json:"about,omitempty"`
	Wide    bool          `json:"wide,omitempty"`    // more than one question has failed
	Stated  bool          `json:"stated,omitempty"`  // the party named the pause (Retry-After)
	Network string        `json:"network,omitempty"` // in which it gave no answer; empty: it gave one
}

// Left is how long a question has to wait. It bounds absurd values.
func (r Record) Left(now time.Time, about string) time.Duration {
	left := r.Until.Sub(now)
	if left > longest || !r.Wide && about != r.About {
		return 0
	}
	return max(left, 0)
}

// Failed is the record after a failure of a question that was asked at began. after
// is the pause that the party asks for, if it does; chance is between 0 and 1.
// Questions that were on their way together make one failure.
func (r Record) Failed(began, now time.Time, about string, after time.Duration, chance float64) Record {
	before := r
	again := !before.Last.IsZero() && now.Sub(before.Last) < memory
	if !again {
		before = Record{}
	}
	r = Record{Last: now, About: about, Pause: before.Pause, Until: before.Until, Stated: before.Stated}
	r.Wide = about == "" || after > 0 || before.Wide || again && about != before.About
	if again && began.After(before.Last) {
		r.Pause = min(max(2*before.Pause, shortest), longest)
		r.Until = now.Add(time.Duration(float64(r.Pause) * (1 - jitter*chance)))
		r.Stated = false
	}
	if wanted := now.Add(min(after, longest)); after > 0 && wanted.After(r.Until) {
		r.Until, r.Stated = wanted, true
	}
	return r
}

// outcome is what an attempt tells of the party.
type outcome struct {
	is    verdict
	mute  bool          // it gave no answer at all
	after time.Duration // the pause that it asks for
}

type verdict int

const (
	unknown verdict = iota // it was not reached, for a reason of our own
	fine                   // it answered; even a refusal is an answer
	bad
)

func judge(err error, took time.Duration) outcome {
	var held *Held
	var busy *state.Busy
	var e *endpoint.Error
	var st *discover.StatusError
	var check *endpoint.CheckError
	switch {
	case err == nil, errors.As(err, &check):
		return outcome{is: fine}
	case errors.As(err, &held), errors.As(err, &busy):
		return outcome{}
	case errors.As(err, &e) && e.Temporary():
		return outcome{is: bad, after: e.RetryAfter}
	case errors.As(err, &e) && e.Code != "":
		return outcome{is: fine}
	case errors.As(err, &st) && (st.Status >= 500 || st.Status == 429):
		return outcome{is: bad, after: st.RetryAfter}
	}
	switch wire.Classify(err) {
	case wire.Refused, wire.Reset:
		return outcome{is: bad, mute: true}
	case wire.Timeout:
		if took >= impatience || !errors.Is(err, context.DeadlineExceeded) {
			return outcome{is: bad, mute: true}
		}
	}
	return outcome{}
}
