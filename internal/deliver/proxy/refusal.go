package proxy

import (
	"net/http"
	"strings"

	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
)

// stronger is how a server asks for a better sign-in (RFC 9470 section 3). No new
// token of this one helps.
const stronger = "insufficient_user_authentication"

// badProof is how a server refuses a proof of possession (RFC 9449 section 7.1).
const badProof = "invalid_dpop_proof"

// challenge is the server's first OAuth challenge, or the zero one.
func challenge(resp *http.Response) discover.Challenge {
	all, err := discover.Challenges(resp.Header)
	if err != nil {
		return discover.Challenge{}
	}
	for _, c := range all {
		if c.ErrorCode() != "" {
			return c
		}
	}
	return discover.Challenge{}
}

// sayRefusal tells the person what the client may not show. The answer itself
// reaches the client as it is.
func (t *route) sayRefusal(resp *http.Response) {
	c := challenge(resp)
	problem := Problem{Code: wire.Clean(c.ErrorCode())}
	switch {
	case c.ErrorCode() == "insufficient_scope":
		problem.Message = "the server wants a scope that the token does not have"
		if scopes := strings.Join(c.Scopes(), " "); scopes != "" {
			problem.Message += ": " + wire.Clean(scopes)
		}
	case c.ErrorCode() == stronger:
		problem.Message = "the server wants a stronger or fresher sign-in"
		if acr := strings.Join(c.ACRValues(), " "); acr != "" {
			problem.Message += ": " + wire.Clean(acr)
		}
		problem.Hint = "mcpauth login"
	case c.ErrorCode() == badProof || c.ErrorCode() == dpop.ErrorUseNonce:
		problem.Message = "the server does not accept the proof that the token is ours"
		problem.Hint = "look whether this computer's clock is right"
	case resp.StatusCode == http.StatusUnauthorized:
		problem.Code, problem.Message = "invalid_token", "the server does not accept the access token"
	default:
		return
	}
	t.say(problem)
}
