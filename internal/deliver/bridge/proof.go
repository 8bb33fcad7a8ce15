package bridge

import (
	"net/http"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
)

// carried is a token as requests carry it.
type carried struct {
	token.Token
	header []string // the Authorization header, of one that needs no proof
}

func carry(t token.Token) *carried {
	c := &carried{Token: t}
	if !t.AccessToken.IsZero() && t.Prover == nil {
		c.header = []string{"Bearer " + t.AccessToken.Reveal()}
	}
	return c
}

// authorize puts the token on a request. One that is bound to a key needs a new
// proof each time (RFC 9449 section 7.1).
func (c *carried) authorize(req *http.Request) error {
	switch {
	case c.header != nil:
		req.Header["Authorization"] = c.header
	case c.Prover != nil:
		return c.Prover.Sign(req, c.AccessToken)
	}
	return nil
}

// lacksNonce learns what a response says about nonces, and reports whether the
// request was refused for the want of one, and not for its token.
func (c *carried) lacksNonce(resp *http.Response) bool {
	if c.Prover == nil {
		return false
	}
	c.Prover.Learn(resp)
	return dpop.WantsNonce(resp)
}

// badProof is the error of a server that does not accept a proof (RFC 9449 section
// 7.1). It is no word about the token, and another one would not help.
const badProof = "invalid_dpop_proof"

func errProof() error {
	return &Error{
		Code: "proof_refused", Message: "the server does not accept the proof that the token is ours",
		Hint: "look whether this computer's clock is right; if it is, tell the owner of the server",
	}
}

// aboutToken finds the challenge that is about a token of this kind. A server may
// take both kinds, and then has a challenge for each.
func (c *carried) aboutToken(list []discover.Challenge) (found discover.Challenge) {
	schemes := [...]string{"dpop", "bearer"} // the one that counts more stands last
	if c.Prover != nil {
		schemes = [...]string{"bearer", "dpop"}
	}
	for _, scheme := range schemes {
		for _, challenge := range list {
			if challenge.Scheme == scheme {
				found = challenge
			}
		}
	}
	return found
}
