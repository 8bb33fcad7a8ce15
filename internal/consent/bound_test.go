package consent

import (
	"errors"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func (l *laptop) prover(t testing.TB) *dpop.Prover {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &dpop.Prover{Key: key, Now: l.Now}
}

// A consent whose tokens are bound to a key (RFC 9449): asked for, renewed and
// shared with that key, and with no other.
func TestBound(t *testing.T) {
	l := newLaptop(t, func(c *idjagtest.Company) { c.AS.DPoP = idjagtest.DPoPPolicy{Require: true, Nonce: true} })
	target := l.target(t)
	target.Prover, target.RequireBound = l.prover(t), true
	got := l.consented(t, target)
	if got.Type != "DPoP" || !l.works(got) {
		t.Fatalf("got %+v", got)
	}
	if got, err := l.renewed(t, target); err != nil || got.Type != "DPoP" || !l.works(got) {
		t.Fatalf("renew: %v; %v", err, l.Refusals())
	}
	if _, ok := l.k.latest(t.Context(), target); !ok {
		t.Error("who waits is not given the token")
	}
	for name, prover := range map[string]*dpop.Prover{"another key": l.prover(t), "no key": nil} {
		other := target
		other.Prover = prover
		if _, ok := l.k.latest(t.Context(), other); ok {
			t.Errorf("%s: who waits is given a token that is bound to a key of others", name)
		}
	}
	if err := l.k.Revoke(t.Context(), target); err != nil {
		t.Errorf("revoke: %v; %v", err, l.Refusals())
	}
}

// A3: a server that takes the proof and gives an unbound token all the same.
func TestDowngrade(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	target.Prover = l.prover(t)
	if got := l.consented(t, target); got.Type != "Bearer" || len(got.Warnings) == 0 {
		t.Errorf("got %+v", got)
	}
	target.RequireBound = true
	var check *endpoint.CheckError
	if _, err := l.k.Ask(bounded(t), target, l.browse); !errors.As(err, &check) || check.Rule != "A3" || !check.Security {
		t.Errorf("got %v", err)
	}
	if _, err := l.renewed(t, target); !errors.As(err, &check) || check.Rule != "A3" {
		t.Errorf("renew: got %v", err)
	}
}
