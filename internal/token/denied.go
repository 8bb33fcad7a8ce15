package token

import (
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// memory is how long a company's no is taken for granted, so that an agent in a
// loop does not hammer the identity provider.
const memory = time.Minute

// Remembered is a refusal that was not asked for again.
type Remembered struct {
	When time.Time
	Err  error
}

func (e *Remembered) Error() string { return e.Err.Error() }

func (e *Remembered) Unwrap() error { return e.Err }

// denied returns the refusal of the last minute, if the same question would be
// asked again: of the same sign-in, and with what is configured. A server can have
// a program ask for scopes that nobody gets, and that must deny nothing else.
func (s *Source) denied(record state.File, h holder, asked key, a Ask) error {
	r := record.Servers[s.Server.URL]
	last := r.LastError
	if last == nil || r.LastAsked != asked.name() || a.Fresh || a.Scopes != nil {
		return nil
	}
	var again error
	switch at := stage.Stage(last.Stage); {
	case at == stage.Exchange && (last.Code == "access_denied" || last.Code == "invalid_target"):
		again = &endpoint.Error{Endpoint: "the identity provider", Status: 403, Code: last.Code, MaxAge: -1}
	case at == stage.Exchange && last.Code == "X9": // a clock is wrong, and stays so for a while
		again = &idjag.CheckError{Rule: last.Code, What: last.Check}
	case at == stage.Renewal && last.Code == "T5":
		again = &identity.Untrusted{Rule: last.Code, What: last.Check}
	default:
		return nil
	}
	now := s.now()
	if age := now.Sub(last.When); age < 0 || age >= memory {
		return nil
	}
	// A sign-in since then may change the answer; one that is yet to come was made
	// before the clock was set back.
	if !h.since.Before(last.When) && !h.since.After(now) {
		return nil
	}
	p := s.parties()
	p.Resource, p.AS, p.Scopes = or(p.Resource, r.Resource), or(p.AS, r.Issuer), s.scopes(a)
	return &Remembered{When: last.When, Err: stage.At(stage.Stage(last.Stage), p, again)}
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
