package identity

import (
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestRenewal(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	s, err := l.p.Subject(t.Context(), secret.Text{})
	if err != nil {
		t.Fatalf("%v; %v", err, l.Refusals())
	}
	t.Log(s.Renewed, l.warned())
}
