package token

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// recordFailure keeps the last failure for status. Callers of helpers often
// throw stderr away.
func (s *Source) recordFailure(ctx context.Context, asked key, mode string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	failure := &state.Failure{When: s.now(), Message: wire.Clean(err.Error())}
	var at *stage.Error
	if errors.As(err, &at) {
		failure.Stage = string(at.Stage)
	}
	var e *endpoint.Error
	if errors.As(err, &e) {
		failure.Code = wire.Clean(e.Code)
	}
	var check *idjag.CheckError
	var untrusted *identity.Untrusted
	switch {
	case errors.As(err, &check):
		failure.Code, failure.Check = check.Rule, wire.Clean(check.What)
	case errors.As(err, &untrusted):
		failure.Code, failure.Check = untrusted.Rule, wire.Clean(untrusted.What)
	}
	s.warned(err)
	err = s.update(ctx, func(r *state.Server) {
		r.LastError, r.LastAsked = failure, asked.name()
		r.Managed = r.Managed || s.decidedAgainst(mode, *failure)
	})
	if err != nil {
		s.unwritten("this failure could not be noted", err)
	}
}

const notKept = "the token could not be kept for the next time"

// unwritten warns that something could not be written down, once for each cause: on
// a disk that is full that would be three times for one token.
func (s *Source) unwritten(what string, err error) {
	if !s.warned(err) {
		s.warn("%s: %v", what, err)
	}
}

// warned reports whether a person has heard of the cause of err, who does so now.
func (s *Source) warned(err error) bool {
	var cause syscall.Errno
	if !errors.As(err, &cause) {
		return false
	}
	_, before := s.causes.LoadOrStore(cause, true)
	return before
}

// update changes the server's record. That it fails is no reason to withhold a
// token, and a deadline that has passed is no reason not to try.
func (s *Source) update(ctx context.Context, change func(*state.Server)) error {
	return s.change(ctx, time.Second, s.State.Update, change)
}

// note is update for what can be had again after a power cut. It is patient: of a
// hundred processes that write at once, the one whose token is not kept has another
// one ask for it again.
func (s *Source) note(ctx context.Context, change func(*state.Server)) error {
	return s.change(ctx, crowded, s.State.Note, change)
}

// crowded is how long a hundred processes take to write one after the other, on a
// computer that has other things to do.
const crowded = 3 * time.Second

func (s *Source) change(ctx context.Context, patience time.Duration, write func(context.Context, func(*state.File) error) error, change func(*state.Server)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return write(ctx, func(f *state.File) error {
		r := f.Servers[s.Server.URL]
		r.URL = s.Server.URL
		change(&r)
		f.Servers[s.Server.URL] = r
		return nil
	})
}

func (s *Source) known() (state.Server, error) {
	f, err := s.onRecord()
	return f.Servers[s.Server.URL], err
}
