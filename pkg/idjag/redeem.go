package idjag

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Lifetimes that Redeem assumes or allows.
const (
	DefaultLifetime = endpoint.DefaultLifetime // of an access token whose lifetime is not told
	MaxLifetime     = endpoint.MaxLifetime     // longer ones count as this (rule A4)
)

// RedeemRequest spends an ID-JAG (RFC 7523 section 2.1; the draft, section 4.4).
type RedeemRequest struct {
	// Endpoint is the token endpoint of the metadata whose issuer was the audience
	// of the exchange. Redeem cannot check that; posting an ID-JAG anywhere else
	// hands a stranger a token (attack S1).
	Endpoint string

	Client clientauth.Client // the registration at the authorization server
	Grant  Grant

	Resource string // RFC 8707; empty leaves the parameter out

	// Scopes must be among Grant.Scopes where that is not nil: some servers grant
	// what the form says. None leaves the parameter out.
	Scopes []string

	// Prover shows the client's key to the authorization server, which then binds
	// the access token to it (RFC 9449 section 5). An ID-JAG that is bound must be
	// redeemed with the same key (the draft, section 9.8). Nil sends no proof.
	Prover *dpop.Prover

	// RequireBound takes no token but one that is bound to the Prover's key (rule A3).
	RequireBound bool

	Now func() time.Time // nil means time.Now
}

// Token is an access token that passed the checks A1 to A7; see endpoint.Token.
type Token = endpoint.Token

// Redeem trades an ID-JAG for an access token. A refresh token in the answer is
// dropped: only then does revocation at the identity provider take effect. An
// error is an *Error when the authorization server refused, a *CheckError when
// its answer is unusable, and otherwise what the HTTP client returned.
func Redeem(ctx context.Context, client *http.Client, r RedeemRequest) (Token, error) {
	if r.Endpoint == "" || r.Grant.Assertion.IsZero() {
		return Token{}, errors.New("redeem ID-JAG: endpoint and ID-JAG are required")
	}
	if wider := missing(r.Scopes, r.Grant.Scopes); r.Grant.Scopes != nil && wider != nil {
		return Token{}, fmt.Errorf("redeem ID-JAG: the scopes %q are not in the grant", wider)
	}
	if r.Grant.Claims.Bound && (r.Prover == nil || r.Prover.Key == nil || r.Prover.Key.Thumbprint() != r.Grant.Claims.KeyThumbprint) {
		return Token{}, errors.New("redeem ID-JAG: it is bound to a key that is not at hand")
	}
	t, err := endpoint.GetToken(ctx, client, endpoint.TokenRequest{
		Request: endpoint.Request{URL: r.Endpoint, Client: r.Client, Prover: r.Prover, Form: url.Values{
			"grant_type": {GrantTypeJWTBearer},
			"assertion":  {r.Grant.Assertion.Reveal()},
		}},
		Resource: r.Resource, Scopes: r.Scopes, RequireBound: r.RequireBound, Now: r.Now,
	})
	if err != nil {
		return Token{}, fmt.Errorf("redeem ID-JAG: %w", err)
	}
	if !t.RefreshToken.IsZero() {
		t.RefreshToken = secret.Text{}
		t.Warnings = append(t.Warnings, "the authorization server sent a refresh token; it was dropped")
	}
	return t, nil
}
