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
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// ExchangeRequest asks an identity provider for an ID-JAG (RFC 8693 section 2.1;
// the draft, section 4.3).
type ExchangeRequest struct {
	Endpoint string            // the identity provider's token endpoint
	Issuer   string            // its issuer, exactly; the ID-JAG must name it
	Client   clientauth.Client // the registration at the identity provider

	SubjectToken     secret.Text
	SubjectTokenType string // empty means TokenTypeIDToken

	// Audience is the issuer of the authorization server that will redeem the
	// ID-JAG, byte for byte as its metadata has it.
	Audience string

	// ExpectAudience is what the ID-JAG's "aud" must be where Audience is an alias
	// that the identity provider resolves. Empty means Audience.
	ExpectAudience string

	// Resource is the protected resource's identifier (RFC 9728). Empty leaves the
	// parameter out, which the draft allows and the field often does not.
	Resource string

	Scopes []string // of the resource; none leaves the parameter out

	// RequireScopes must all be granted, or the grant is refused (rule X11).
	RequireScopes []string

	// ASClientID is the client's ID at the authorization server, which the ID-JAG
	// must be for. Empty skips that comparison.
	ASClientID string

	// Prover shows the client's key to the identity provider, which then binds the
	// ID-JAG to it (the draft, section 9.8). Nil sends no proof.
	Prover *dpop.Prover

	// RequireBound takes no ID-JAG but one that can be seen to be bound to the
	// Prover's key (rule X13). An encrypted one cannot.
	RequireBound bool

	Now func() time.Time // nil means time.Now
}

// Grant is an ID-JAG that passed the checks X1 to X15, to be redeemed once.
type Grant struct {
	Assertion secret.Text
	Claims    Claims

	Scopes  []string // granted: by the claim, else by the response, else as requested
	Reduced []string // requested and not granted

	// Expires is the end of the ID-JAG, by its claim or, for an encrypted one, by
	// the response; zero when neither tells.
	Expires time.Time

	// Warnings are departures from the draft that were tolerated, for people.
	Warnings []string
}

// Exchange trades an identity assertion for an ID-JAG. An error is an *Error when
// the identity provider refused, a *CheckError when what it issued is not what
// was asked for, and otherwise what the HTTP client returned.
//
// Exchange does not check the signature of the ID-JAG, nor that its subject is
// the one of the subject token: identity providers name the same person
// differently to different servers.
func Exchange(ctx context.Context, client *http.Client, r ExchangeRequest) (Grant, error) {
	if r.Endpoint == "" || r.Issuer == "" || r.Audience == "" || r.SubjectToken.IsZero() {
		return Grant{}, errors.New("exchange identity assertion: endpoint, issuer, audience and subject token are required")
	}
	if r.RequireBound && r.Prover == nil {
		return Grant{}, errors.New("exchange identity assertion: the ID-JAG must be bound to a key, and there is none")
	}
	subjectType := r.SubjectTokenType
	if subjectType == "" {
		subjectType = TokenTypeIDToken
	}
	form := url.Values{
		"grant_type":           {GrantTypeTokenExchange},
		"requested_token_type": {TokenTypeIDJAG},
		"audience":             {r.Audience},
		"subject_token":        {r.SubjectToken.Reveal()},
		"subject_token_type":   {subjectType},
	}
	if r.Resource != "" {
		form.Set("resource", r.Resource)
	}
	if len(r.Scopes) > 0 {
		form.Set("scope", strings.Join(r.Scopes, " "))
	}
	answer, err := endpoint.Post(ctx, client, endpoint.Request{URL: r.Endpoint, Form: form, Client: r.Client, Prover: r.Prover})
	if err != nil {
		return Grant{}, fmt.Errorf("exchange identity assertion: %w", err)
	}
	g, err := r.check(answer)
	if err != nil {
		return Grant{}, fmt.Errorf("exchange identity assertion: %w", err)
	}
	return g, nil
}

// check applies X1 to X15. Comments name the rules.
func (r ExchangeRequest) check(answer endpoint.Answer) (Grant, error) {
	var g Grant
	if answer.Note != "" {
		g.warn("%s", answer.Note)
	}
	assertion, err := answer.Text("access_token") // X1
	if err != nil || assertion == "" {
		return Grant{}, &CheckError{Rule: "X1", What: "the answer has no access_token that could be an ID-JAG"}
	}
	g.Assertion = secret.New(assertion)

	issued, err := answer.Text("issued_token_type") // X2, attack S23
	if err != nil || issued != "" && issued != TokenTypeIDJAG {
		return Grant{}, &CheckError{Rule: "X2", What: "issued_token_type", Got: issued, Want: TokenTypeIDJAG, Security: true}
	}
	if issued == "" {
		g.warn("the identity provider does not say what type of token it issued")
	}
	if typ, err := answer.Text("token_type"); err != nil || !strings.EqualFold(typ, "N_A") { // X3
		g.warn("token_type is %q, want N_A", typ)
	}
	if answer.Has("refresh_token") { // X15: never kept
		g.warn("the identity provider sent a refresh token with the ID-JAG; it was dropped")
	}

	g.Claims, err = Parse(g.Assertion)
	if err != nil {
		return Grant{}, &CheckError{Rule: "X4", What: err.Error(), Security: true}
	}
	if !g.Claims.isIDJAG() { // X4
		return Grant{}, &CheckError{Rule: "X4", What: "the type (typ) of the token", Got: g.Claims.Type, Want: JWTType, Security: true}
	}
	now := clock(r.Now)
	if d, ok, err := answer.Seconds("expires_in"); ok && err == nil {
		g.Expires = now.Add(d)
	}
	granted, err := answer.Text("scope")
	if err != nil {
		return Grant{}, &CheckError{Rule: "X11", What: err.Error()}
	}
	switch {
	case g.Claims.Opaque && r.RequireBound: // X13: it cannot be told
		return Grant{}, &CheckError{Rule: "X13", What: "the ID-JAG is encrypted, so that nobody can tell whether it is bound to our key (DPoP), which is required", Security: true}
	case g.Claims.Opaque:
		g.warn("the ID-JAG is encrypted, so that its claims cannot be checked here")
	default:
		if err := r.checkClaims(&g, now); err != nil {
			return Grant{}, err
		}
	}
	return g, r.checkScopes(&g, granted, answer.Has("scope"))
}

func (r ExchangeRequest) checkScopes(g *Grant, answered string, hasAnswered bool) error { // X11
	switch {
	case g.Claims.HasScope:
		g.Scopes = g.Claims.Scopes
	case hasAnswered:
		g.Scopes = strings.Fields(answered)
	default:
		g.Scopes = slices.Clone(r.Scopes)
	}
	g.Reduced = missing(r.Scopes, g.Scopes)
	if lack := missing(r.RequireScopes, g.Scopes); lack != nil {
		return &CheckError{Rule: "X11", What: "the scopes granted", Got: strings.Join(g.Scopes, " "), Want: strings.Join(r.RequireScopes, " ")}
	}
	return nil
}

func (g *Grant) warn(format string, args ...any) {
	g.Warnings = append(g.Warnings, fmt.Sprintf(format, args...))
}

// missing returns what of want is not in have.
func missing(want, have []string) (lack []string) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			lack = append(lack, w)
		}
	}
	return lack
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
