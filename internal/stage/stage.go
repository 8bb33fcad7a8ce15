// Package stage names the leg of the flow in which something went wrong, and the
// parties to it, so that one place at the edge can say what happened, whose
// business it is, and what to type next. It knows no exit code and no hint.
package stage

import (
	"errors"
	"fmt"
)

// Stage is a leg of the flow, as it stands in machine-readable errors.
type Stage string

// The stages in the order of the flow.
const (
	Login            Stage = "login"
	Renewal          Stage = "renewal" // of the sign-in, with the IdP's refresh token
	ResourceMetadata Stage = "prm"
	ServerMetadata   Stage = "ras_meta" // of the MCP server's authorization server
	IdPMetadata      Stage = "idp_meta"
	Exchange         Stage = "exchange"
	Redeem           Stage = "redeem"
	Consent          Stage = "consent" // of the person, outside enterprise-managed authorization
)

// Parties are the names that a message about a failure needs. None is secret.
type Parties struct {
	Server           string // configured name
	Resource         string
	IdP              string // issuer
	IdPClientID      string
	AS               string // issuer of the authorization server
	ASClientID       string
	Scopes           []string
	AccessRequestURL string
	Outside          bool // enterprise-managed authorization
}

// Error is an error with its stage.
type Error struct {
	Stage Stage
	Parties
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", words[e.Stage], e.Err) }

func (e *Error) Unwrap() error { return e.Err }

var words = map[Stage]string{
	Login: "sign in", Renewal: "renew the sign-in",
	ResourceMetadata: "look up the server", ServerMetadata: "look up the authorization server", IdPMetadata: "look up the identity provider",
	Exchange: "ask the identity provider for access", Redeem: "ask the authorization server for a token",
	Consent: "ask for your consent",
}

// At marks err with a stage, unless a deeper layer did already. It keeps nil nil.
func At(s Stage, p Parties, err error) error {
	var marked *Error
	if err == nil || errors.As(err, &marked) {
		return err
	}
	return &Error{Stage: s, Parties: p, Err: err}
}
