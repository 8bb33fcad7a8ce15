// Package pace keeps the processes of a person, and the computers of a company,
// from asking all at once: when a token is renewed, when a party that is out of
// order is asked again, and who fetches a document for all.
//
// It stands below the stages of the flow and knows none of them. What it remembers
// is shared by all processes, and lost without harm.
package pace

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// Party is somebody who is asked, and about what.
type Party struct {
	State *state.Dir
	Name  string // an issuer

	// About names the question: a connection that is set up wrongly must not stop all
	// the others. Empty stands for what every question needs.
	About string

	Now func() time.Time // nil means time.Now
}

// Held says that a party is not asked now, because it was out of order or wants to
// be left alone. It unwraps to what that looks like when it comes from the network.
type Held struct {
	Party string
	Left  time.Duration // until it is asked again
	Until time.Time
	Mute  bool // it gave no answer at all
}

func (e *Held) Error() string {
	why := "is out of order"
	if e.Mute {
		why = "gave no answer"
	}
	return fmt.Sprintf("%q %s, and is not asked again before %s", e.Party, why, e.Until.Local().Format(time.TimeOnly))
}

func (e *Held) Unwrap() error {
	if e.Mute {
		return os.ErrDeadlineExceeded
	}
	return &endpoint.Error{Endpoint: e.Party, Status: 503, Code: "temporarily_unavailable", MaxAge: -1, RetryAfter: e.Left}
}

type insisting struct{}

// Insist is for what a person does, who asks again whatever the last answer was.
// Only a pause that a party has asked for itself is kept all the same.
func Insist(ctx context.Context) context.Context { return context.WithValue(ctx, insisting{}, true) }

// Held returns a *Held if the party should not be asked now.
func (p Party) Held(ctx context.Context) error {
	r, ok := p.read()
	if !ok || r.Network != "" && r.Network != network() { // another network may well lead there
		return nil
	}
	now := p.now()
	left := r.Left(now, p.About)
	if ctx.Value(insisting{}) != nil {
		left = r.Wanted(now)
	}
	if left <= 0 {
		return nil
	}
	return &Held{Party: p.Name, Left: max(left.Round(time.Second), time.Second), Until: now.Add(left), Mute: r.Network != ""}
}

// Ask asks, unless the party is held, and tells all processes what came of it.
func (p Party) Ask(ctx context.Context, ask func() error) error {
	if err := p.Held(ctx); err != nil {
		return err
	}
	began, start := p.now(), time.Now()
	err := ask()
	switch o := judge(err, time.Since(start)); o.is {
	case fine:
		p.Works()
	case bad:
		p.failed(began, o)
	}
	return err
}

// Works tells all processes that the party was seen to be in order.
func (p Party) Works() {
	if _, ok := p.read(); ok {
		p.State.DropCache(p.key())
	}
}

// Note tells of a failure of something that every question needs. That it worked
// proves nothing: it may have come from a cache.
func (p Party) Note(ask func() error) error {
	began, start := p.now(), time.Now()
	err := ask()
	if o := judge(err, time.Since(start)); o.is == bad {
		p.failed(began, o)
	}
	return err
}

func (p Party) failed(began time.Time, o outcome) {
	r, _ := p.read()
	r = r.Failed(began, p.now(), p.About, o.after, rand.Float64())
	r.Network = ""
	if o.mute {
		r.Network = network()
	}
	if text, err := json.Marshal(r); err == nil {
		p.State.SetCache(p.key(), text)
	}
}

func (p Party) read() (r Record, ok bool) {
	text, ok := p.State.Cache(p.key(), memory)
	return r, ok && json.Unmarshal(text, &r) == nil
}

func (p Party) key() string { return "out of order: " + p.Name }

func (p Party) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// network names the networks that this computer is in, by its own addresses.
func network() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "unknown"
	}
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return state.Hash(strings.Join(list, " "))
}
