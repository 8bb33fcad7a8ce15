package idjagtest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Grants without a person.

// trustedPlatform is an issuer of workload identities.
type trustedPlatform struct {
	keys     KeySource
	audience string
}

// TrustWorkload accepts JWTs with which a platform vouches for the programs that
// run on it, a build service for example, as JWT bearer grants (RFC 7523 section
// 2.1). Their aud has to be audience; "" means this server's issuer. The token is
// for sub. Client authentication is optional, as the RFC has it, and a JWT may be
// presented again until it expires, since platforms hand out one for many uses.
func (a *AS) TrustWorkload(issuer string, keys KeySource, audience string) {
	a.state.Lock()
	defer a.state.Unlock()
	if a.platforms == nil {
		a.platforms = map[string]trustedPlatform{}
	}
	a.platforms[issuer] = trustedPlatform{keys: keys, audience: audience}
}

func (a *AS) platform(issuer string) (trustedPlatform, bool) {
	a.state.Lock()
	defer a.state.Unlock()
	p, ok := a.platforms[issuer]
	return p, ok
}

// isWorkload tells the two kinds of JWT bearer grants apart, before any check.
func (a *AS) isWorkload(assertion string) bool {
	_, known := a.platform(unverifiedIssuer(assertion))
	return known && !(token{typ: unverifiedType(assertion)}).hasType(jwtTypeIDJAG)
}

// tokenByWorkload is the JWT bearer grant with a platform's JWT.
func (a *AS) tokenByWorkload(c *call, client Client) *refusal {
	t, problem := a.checkWorkload(c.r.Context(), c.form.Get("assertion"))
	if problem != nil {
		return refuse("invalid_grant", "assertion: %v", problem)
	}
	c.entry.Person = t.text("sub")
	return a.tokenForProgram(c, t.text("sub"), client.ID)
}

func (a *AS) checkWorkload(ctx context.Context, assertion string) (token, error) {
	issuer := unverifiedIssuer(assertion) // only to choose the keys; checked by the signature
	platform, _ := a.platform(issuer)
	t, err := verifyFrom(ctx, platform.keys, issuer, assertion)
	if err != nil {
		return token{}, err
	}
	want := platform.audience
	if want == "" {
		want = a.Issuer
	}
	aud, err := t.audience()
	now := a.Clock()
	switch {
	case t.typ != "" && !t.hasType("jwt"):
		return token{}, fmt.Errorf("its typ is %q, want JWT or none", t.typ)
	case err != nil:
		return token{}, err
	case aud != want:
		return token{}, fmt.Errorf("its aud is %q, want %q", aud, want)
	case !time.Unix(t.seconds("exp"), 0).After(now):
		return token{}, fmt.Errorf("it has no exp or has expired")
	case time.Unix(t.seconds("iat"), 0).After(now.Add(time.Minute)), time.Unix(t.seconds("nbf"), 0).After(now):
		return token{}, fmt.Errorf("its iat or nbf is in the future")
	case t.text("sub") == "":
		return token{}, fmt.Errorf("it lacks sub")
	}
	return t, nil
}

// tokenByClient is the client credentials grant (RFC 6749 section 4.4): for
// clients that can prove who they are, and whose registration names the grant.
func (a *AS) tokenByClient(c *call, client Client) *refusal {
	if client.method() == AuthNone {
		return refuse("unauthorized_client", "client %q is public and has no credentials to get a token by", client.ID)
	}
	return a.tokenForProgram(c, client.ID, client.ID)
}

// tokenForProgram answers both: no person, so no consent and no refresh token.
func (a *AS) tokenForProgram(c *call, subject, client string) *refusal {
	resource, err := a.wantedResource(c)
	if err != nil {
		return err
	}
	scopes, err := a.wantedScopes(c, resource)
	if err != nil {
		return err
	}
	return a.issue(c, AccessToken{Subject: subject, Client: client, Resource: resource, Scopes: scopes}, nil, nil)
}

// verifyFrom checks a signature with keys from a source.
func verifyFrom(ctx context.Context, source KeySource, issuer, assertion string) (token, error) {
	text, err := source(ctx)
	if err != nil {
		return token{}, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return token{}, fmt.Errorf("the keys of %q are not a JWK set", issuer)
	}
	return verify(assertion, set.Keys)
}

// Platform vouches for programs that run on it. It serves nothing: give Keys to
// an authorization server and Mint's JWTs to the programs.
type Platform struct {
	Issuer string
	Now    func() time.Time // nil means time.Now

	key *Key
}

// NewPlatform makes a platform with a key of its own.
func NewPlatform(issuer string) (*Platform, error) {
	key, err := NewKey("")
	if err != nil {
		return nil, err
	}
	return &Platform{Issuer: issuer, key: key}, nil
}

// Keys is a KeySource.
func (p *Platform) Keys(context.Context) ([]byte, error) {
	return json.Marshal(jose.JSONWebKeySet{Keys: publicHalves([]*Key{p.key})})
}

// Mint signs a JWT for a program, good for ten minutes. mutate, when not nil,
// changes header and claims before the signature.
func (p *Platform) Mint(subject, audience string, mutate func(header, claims map[string]any)) (string, error) {
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	header := map[string]any{"typ": "JWT"}
	claims := map[string]any{"iss": p.Issuer, "sub": subject, "aud": audience, "jti": random(),
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	if mutate != nil {
		mutate(header, claims)
	}
	return p.key.Sign(header, claims)
}
