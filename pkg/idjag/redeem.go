package idjag

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Lifetimes that Redeem assumes or allows.
const (
	DefaultLifetime = 5 * time.Minute // of an access token whose lifetime is not told
	MaxLifetime     = 24 * time.Hour  // longer ones count as this (rule A4)
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

	Now func() time.Time // nil means time.Now
}

// Token is an access token that passed the checks A1 to A7. What it says is
// between its two servers (RFC 9068 section 6) and is not checked.
type Token struct {
	AccessToken secret.Text
	Type        string // "Bearer"

	// Expires is the local time of the answer plus the stated lifetime. When none
	// is stated it is the token's own "exp" if it can be read, and else the time of
	// the answer plus DefaultLifetime.
	Expires time.Time

	Scopes  []string // granted: by the response, else those of the request
	Reduced []string // requested and not granted

	Warnings []string // departures from the standards that were tolerated, for people
}

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
	form := url.Values{
		"grant_type": {GrantTypeJWTBearer},
		"assertion":  {r.Grant.Assertion.Reveal()},
	}
	if r.Resource != "" {
		form.Set("resource", r.Resource)
	}
	if len(r.Scopes) > 0 {
		form.Set("scope", strings.Join(r.Scopes, " "))
	}
	answer, err := endpoint.Post(ctx, client, endpoint.Request{URL: r.Endpoint, Form: form, Client: r.Client})
	if err != nil {
		return Token{}, fmt.Errorf("redeem ID-JAG: %w", err)
	}
	t, err := r.check(answer)
	if err != nil {
		return Token{}, fmt.Errorf("redeem ID-JAG: %w", err)
	}
	return t, nil
}

// check applies A1 to A7; A9 is the HTTP client's. Comments name the rules.
func (r RedeemRequest) check(answer endpoint.Answer) (Token, error) {
	var t Token
	warn := func(format string, args ...any) { t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...)) }
	if answer.Note != "" {
		warn("%s", answer.Note)
	}
	access, err := answer.Text("access_token")
	if err != nil || access == "" {
		return Token{}, &CheckError{Rule: "A1", What: "the answer has no access_token"}
	}
	if !visible(access) { // A1, attack S26
		return Token{}, &CheckError{Rule: "A1", What: "the access token holds characters that no header can carry", Security: true}
	}
	t.AccessToken = secret.New(access)

	typ, err := answer.Text("token_type")
	switch { // A2, A3
	case err != nil || typ == "":
		return Token{}, &CheckError{Rule: "A2", What: "the answer does not say how to use the access token (token_type)"}
	case strings.EqualFold(typ, "DPoP"):
		return Token{}, &CheckError{Rule: "A3", What: "the access token is bound to a key (DPoP) although no key was shown", Security: true}
	case !strings.EqualFold(typ, "Bearer"):
		return Token{}, &CheckError{Rule: "A2", What: "token_type", Got: typ, Want: "Bearer"}
	}
	t.Type = "Bearer"

	now := clock(r.Now)
	t.Expires = now.Add(DefaultLifetime)
	switch life, stated, err := answer.Seconds("expires_in"); { // A4
	case err != nil || stated && life <= 0:
		warn("expires_in is not a length of time, so that the token is not kept")
		t.Expires = now
	case stated:
		t.Expires = now.Add(min(life, MaxLifetime))
	default:
		if c, err := Parse(t.AccessToken); err == nil && !c.Expires.IsZero() {
			t.Expires = now.Add(min(max(c.Expires.Sub(now), 0), MaxLifetime))
		}
	}

	t.Scopes = slices.Clone(r.Scopes)
	if granted, err := answer.Text("scope"); err != nil {
		return Token{}, &CheckError{Rule: "A5", What: err.Error()}
	} else if answer.Has("scope") {
		t.Scopes = strings.Fields(granted)
	}
	t.Reduced = missing(r.Scopes, t.Scopes)
	if wider := missing(t.Scopes, r.Scopes); len(r.Scopes) > 0 && wider != nil {
		warn("the authorization server granted more than was asked for: %q", wider)
	}
	if issued, err := answer.Text("issued_token_type"); err != nil || issued != "" && !strings.HasSuffix(issued, ":access_token") { // A6
		warn("issued_token_type is %q, want an access token", issued)
	}
	if got, err := answer.Text("resource"); err != nil || got != "" && r.Resource != "" && got != r.Resource { // A7
		return Token{}, &CheckError{Rule: "A7", What: "the resource the token is for", Got: got, Want: r.Resource, Security: true}
	}
	if answer.Has("refresh_token") {
		warn("the authorization server sent a refresh token; it was dropped")
	}
	return t, nil
}

// visible reports whether s is visible ASCII only, as access tokens are (RFC 6749
// appendix A.12, without the space).
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
