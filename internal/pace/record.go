package pace

import (
	"context"
	"errors"
	"slices"
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
//
// A question that has failed waits longer each time that it or another such one
// fails. All others wait because of what is new: that one more question fails, or
// that what every question needs does. Two connections that are set up wrongly, and
// are asked for again and again, so hold back nobody else for long.
type Record struct {
	Failing []string      `json:"failing,omitempty"` // questions; many stand for all
	Until   time.Time     `json:"until"`             // they wait
	Pause   time.Duration `json:"pause"`             // before chance; zero after the first failure

	AllUntil time.Time     `json:"allUntil,omitzero"`
	AllPause time.Duration `json:"allPause,omitempty"`
	Stated   bool          `json:"stated,omitempty"` // the party named AllUntil (Retry-After)

	Last    time.Time `json:"last"`              // failure
	Network string    `json:"network,omitempty"` // in which it gave no answer; empty: it gave one
}

// many is how many questions a record names.
const many = 64

// Left is how long a question has to wait. It bounds absurd values.
func (r Record) Left(now time.Time, about string) time.Duration {
	left := within(r.AllUntil.Sub(now))
	if r.fails(about) {
		left = max(left, within(r.Until.Sub(now)))
	}
	return left
}

// Wanted is how long the party itself has asked to be left alone.
func (r Record) Wanted(now time.Time) time.Duration {
	if !r.Stated {
		return 0
	}
	return within(r.AllUntil.Sub(now))
}

func within(left time.Duration) time.Duration {
	if left > longest {
		return 0
	}
	return max(left, 0)
}

func (r Record) fails(about string) bool {
	return len(r.Failing) >= many || slices.Contains(r.Failing, about)
}

// Failed is the record after a failure of a question that was asked at began. after
// is the pause that the party asks for, if it does; chance is between 0 and 1.
// Questions that were on their way together make one failure.
func (r Record) Failed(began, now time.Time, about string, after time.Duration, chance float64) Record {
	if r.Last.IsZero() || now.Sub(r.Last) >= memory {
		r = Record{}
	}
	again := !r.Last.IsZero() && began.After(r.Last)
	isNew := !r.fails(about)
	if isNew && about != "" {
		r.Failing = append(slices.Clip(r.Failing), about)
	}
	r.Last = now
	longer := func(pause time.Duration) (time.Duration, time.Time) {
		pause = min(max(2*pause, shortest), longest)
		return pause, now.Add(time.Duration(float64(pause) * (1 - jitter*chance)))
	}
	if again {
		r.Pause, r.Until = longer(r.Pause)
	}
	if again && isNew {
		pause, until := longer(r.AllPause)
		r.AllPause = pause
		if until.After(r.AllUntil) {
			r.AllUntil, r.Stated = until, false
		}
	}
	if wanted := now.Add(min(after, longest)); after > 0 && wanted.After(r.AllUntil) {
		r.AllUntil, r.Stated = wanted, true
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
