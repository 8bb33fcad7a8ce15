package token

import (
	"errors"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// A remembered no answers the question that was asked, and no other one: a server
// that has a program ask for more must not take away what was granted before.
func TestDenialIsOfOneQuestion(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"})
	if _, err := l.get(t, s, Ask{Scopes: []string{"admin"}}); err == nil {
		t.Fatal("not denied")
	}
	l.IdP.ClearFaults()
	l.mustGet(t, s, Ask{})

	l = newLaptop(t)
	s = l.source(t)
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"})
	if _, err := l.get(t, s, Ask{}); err == nil {
		t.Fatal("not denied")
	}
	l.IdP.ClearFaults()
	var remembered *Remembered
	if _, err := l.get(t, s, Ask{}); !errors.As(err, &remembered) {
		t.Errorf("the same question: %v", err)
	}
	s.Server.OAuth.Scopes = []string{"read"} // the person has corrected the configuration
	l.mustGet(t, s, Ask{})
}
