package grant

import (
	"errors"
	"strconv"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// longest is how long an identity provider can keep all processes away. It bounds
// absurd values; a person who cannot wait has none to ask anyway.
const longest = 5 * time.Minute

// held returns the refusal of a while ago, as long as the identity provider does
// not want to be asked again. All processes share it: a hundred that each learn it
// for themselves are what it wants to be spared.
func held(p *identity.Provider, url string) error {
	text, _ := p.State.Cache(holdKey(url), longest)
	until, err := strconv.ParseInt(string(text), 10, 64)
	left := time.Unix(until, 0).Sub(now(p))
	if err != nil || left <= 0 || left > longest {
		return nil
	}
	return &endpoint.Error{Endpoint: url, Status: 503, Code: "temporarily_unavailable", MaxAge: -1, RetryAfter: left}
}

// hold records when the identity provider wants to be asked again, if it said so.
func hold(p *identity.Provider, url string, refusal error) {
	var e *endpoint.Error
	if !errors.As(refusal, &e) || !e.Temporary() || e.RetryAfter <= 0 {
		return
	}
	until := now(p).Add(min(e.RetryAfter, longest)).Unix()
	p.State.SetCache(holdKey(url), []byte(strconv.FormatInt(until, 10)))
}

func holdKey(url string) string { return "not to be asked: " + url }

func now(p *identity.Provider) time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}
