package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	leeway      = time.Minute     // between two clocks (rule T5)
	futureLimit = 5 * time.Minute // for iat (rule T5)
	maxIDToken  = 256 << 10
)

// Untrusted says that an ID token failed a check. Rule is the check's number. Got
// and Want are shown to people; both come from outside and hold no secret.
type Untrusted struct{ Rule, What, Got, Want string }

func (e *Untrusted) Error() string {
	if e.Got == "" && e.Want == "" {
		return "the ID token is not trusted: " + e.What
	}
	return fmt.Sprintf("the ID token is not trusted: %s is %q, want %q", e.What, e.Got, e.Want)
}

// Weak says that the person signed in, but not as strongly or freshly as asked (T7).
type Weak struct{ What string }

func (e *Weak) Error() string { return e.What }

// expected is what an ID token must agree with, beyond the configuration.
type expected struct {
	nonce          string      // of the browser sign-in (T6)
	nonceIfPresent bool        // a renewed ID token may leave it out
	accessToken    secret.Text // for at_hash (T8)
	maxAge         time.Duration
	acrValues      []string
	before         *state.Identity // the sign-in that is renewed (T9)
	skipSignature  bool            // --insecure-skip-id-token-verification
}

// algorithms taken for ID tokens (T1): public keys only.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// verify applies T1 to T9. go-oidc checks signature, issuer, audience and expiry;
// what it leaves to its callers, and the words for people, are here.
func (p *Provider) verify(ctx context.Context, raw secret.Text, want expected) (state.Identity, error) {
	header, claims, err := open(raw)
	if err != nil {
		return state.Identity{}, &Untrusted{Rule: "T1", What: err.Error()}
	}
	alg, _ := header.Text("alg")
	switch {
	case !slices.Contains(algorithms, alg):
		return state.Identity{}, &Untrusted{Rule: "T1", What: "its signature algorithm", Got: alg, Want: "a public-key signature"}
	case header.Has("crit"): // RFC 7515 section 4.1.11: we understand no extension
		return state.Identity{}, &Untrusted{Rule: "T1", What: "it demands an extension (crit) that nobody here knows"}
	}
	id, err := p.read(claims, want)
	if err != nil {
		return state.Identity{}, err
	}
	if want.skipSignature {
		id.Unverified = true
		return id, nil
	}
	if err := p.verifySignature(ctx, raw, alg, want); err != nil {
		return state.Identity{}, err
	}
	return id, nil
}

func (p *Provider) verifySignature(ctx context.Context, raw secret.Text, alg string, want expected) error { // T2
	meta, err := p.Metadata(ctx)
	if err != nil {
		return err
	}
	if meta.JWKSURI == "" {
		return &Untrusted{Rule: "T2", What: "the identity provider publishes no keys (jwks_uri)"}
	}
	if stated := meta.IDTokenSigningAlgs; len(stated) > 0 && !slices.Contains(stated, alg) {
		return &Untrusted{Rule: "T1", What: "its signature algorithm", Got: alg, Want: strings.Join(stated, " ")}
	}
	client := *p.Net.Client()
	keys := &keyFetch{next: client.Transport}
	client.Transport = keys
	ctx = oidc.ClientContext(wire.OnBehalfOf(ctx, p.IdP.Issuer), &client)
	verifier := oidc.NewVerifier(p.IdP.Issuer, oidc.NewRemoteKeySet(ctx, meta.JWKSURI), &oidc.Config{
		ClientID:             p.IdP.IdPClientID,
		SupportedSigningAlgs: []string{alg}, // go-oidc would read an empty list as RS256
		Now:                  func() time.Time { return p.now().Add(-leeway) },
	})
	token, err := verifier.Verify(ctx, raw.Reveal())
	if err != nil {
		var refused *wire.Refusal
		if ctx.Err() != nil || errors.As(err, &refused) {
			return fmt.Errorf("verify the ID token: %w", err)
		}
		if keys.err != nil { // no keys, no verdict
			return fmt.Errorf("get the identity provider's keys: %w", keys.err)
		}
		return &Untrusted{Rule: "T2", What: "its signature does not fit the identity provider's keys"}
	}
	if token.AccessTokenHash != "" && !want.accessToken.IsZero() { // T8
		if err := token.VerifyAccessToken(want.accessToken.Reveal()); err != nil {
			p.warn("the ID token does not fit the access token that came with it (at_hash)")
		}
	}
	return nil
}

// keyFetch remembers why the keys could not be had, which go-oidc tells in prose.
type keyFetch struct {
	next http.RoundTripper
	err  error
}

func (k *keyFetch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	switch {
	case err != nil:
		k.err = err
	case resp.StatusCode != http.StatusOK:
		k.err = &discover.StatusError{URL: r.URL.Scheme + "://" + r.URL.Host + r.URL.Path, Status: resp.StatusCode}
	}
	return resp, err
}

// read checks the claims and makes an identity of them.
func (p *Provider) read(claims strictjson.Object, want expected) (state.Identity, error) {
	bad := func(rule, what, got, wanted string) (state.Identity, error) {
		return state.Identity{}, &Untrusted{Rule: rule, What: what, Got: got, Want: wanted}
	}
	c, err := decode(claims)
	now := p.now()
	switch {
	case err != nil:
		return bad("T1", err.Error(), "", "")
	case c.iss != p.IdP.Issuer:
		return bad("T3", "its issuer (iss)", c.iss, p.IdP.Issuer)
	case !slices.Contains(c.aud, p.IdP.IdPClientID):
		return bad("T4", "its audience (aud)", strings.Join(c.aud, " "), p.IdP.IdPClientID)
	case len(c.aud) > 1 && c.azp != p.IdP.IdPClientID, c.azp != "" && c.azp != p.IdP.IdPClientID:
		return bad("T4", "the client it was issued to (azp)", c.azp, p.IdP.IdPClientID)
	case c.sub == "":
		return bad("T1", "it names no subject (sub)", "", "")
	case c.exp.IsZero() || c.iat.IsZero():
		return bad("T5", "it has no times (exp, iat)", "", "")
	case !c.exp.Add(leeway).After(now):
		return bad("T5", "it expired at "+c.exp.UTC().Format(time.RFC3339)+" by this computer's clock", "", "")
	case c.iat.After(now.Add(futureLimit)):
		return bad("T5", "it was issued in the future by this computer's clock", "", "")
	case want.nonce != "" && c.nonce != want.nonce && !(want.nonceIfPresent && c.nonce == ""):
		return bad("T6", "it belongs to another sign-in (nonce)", "", "")
	}
	if b := want.before; b != nil { // T9
		switch {
		case c.sub != b.Subject:
			return bad("T9", "it is about another person than the one who signed in", "", "")
		case !b.AuthTime.IsZero() && !c.authTime.IsZero() && !c.authTime.Equal(b.AuthTime):
			return bad("T9", "it comes from another sign-in (auth_time)", "", "")
		}
	}
	if want.maxAge > 0 && (c.authTime.IsZero() || now.Sub(c.authTime) > want.maxAge+leeway) { // T7
		return state.Identity{}, &Weak{What: "the identity provider did not ask for a fresh sign-in"}
	}
	if len(want.acrValues) > 0 && !slices.Contains(want.acrValues, c.acr) { // T7: acr_values is a wish
		p.warn("the sign-in has the strength %q, not one of those asked for", c.acr)
	}
	return state.Identity{
		Issuer: c.iss, ClientID: p.IdP.IdPClientID, Subject: c.sub, Name: c.name, Email: c.email,
		Issued: c.iat, Expires: c.exp, AuthTime: c.authTime, Nonce: want.nonce,
	}, nil
}

// withClock adds to a complaint about times how far the clocks are apart, when that
// is the likely reason. The complaint stays: an ID token is for us to judge, and by
// no other clock than ours.
func (p *Provider) withClock(err error, date time.Time) error {
	var u *Untrusted
	apart := Apart(p.now(), date)
	if !errors.As(err, &u) || u.Rule != "T5" || apart == "" {
		return err
	}
	return &Untrusted{Rule: u.Rule, What: u.What + "; " + apart}
}

// Apart says in words how far this computer's clock is from the identity
// provider's, which date is from. It is empty when they agree to the minute and when
// date is zero.
func Apart(now, date time.Time) string {
	skew := now.Sub(date).Round(time.Minute)
	switch {
	case date.IsZero() || skew.Abs() <= leeway:
		return ""
	case skew > 0:
		return "this computer's clock is " + skew.String() + " ahead of the identity provider's"
	}
	return "this computer's clock is " + skew.Abs().String() + " behind the identity provider's"
}

type idClaims struct {
	iss, sub, azp, nonce, acr, name, email string
	aud                                    []string
	exp, iat, authTime                     time.Time
}

func decode(o strictjson.Object) (c idClaims, err error) {
	texts := map[string]*string{
		"iss": &c.iss, "sub": &c.sub, "azp": &c.azp, "nonce": &c.nonce, "acr": &c.acr,
	}
	for name, dst := range texts {
		if *dst, err = o.Text(name); err != nil {
			return c, err
		}
	}
	if c.aud, err = o.Texts("aud"); err != nil {
		return c, err
	}
	for name, dst := range map[string]*time.Time{"exp": &c.exp, "iat": &c.iat, "auth_time": &c.authTime} {
		if *dst, err = o.Time(name); err != nil {
			return c, err
		}
	}
	// For display only: whatever else they are, they are nothing to fail on.
	c.name, _ = o.Text("name")
	c.email, _ = o.Text("email")
	return c, nil
}

// open splits a JWS without checking anything but its shape.
func open(raw secret.Text) (header, claims strictjson.Object, err error) {
	parts := strings.Split(raw.Reveal(), ".")
	switch {
	case len(raw.Reveal()) > maxIDToken:
		return nil, nil, errors.New("it is too large")
	case len(parts) == 5:
		return nil, nil, errors.New("it is encrypted; ask for an unencrypted ID token in the identity provider's settings of this client")
	case len(parts) != 3, strings.ContainsAny(raw.Reveal(), " \t\r\n="): // which decoders forgive
		return nil, nil, errors.New("it is not a JWT")
	}
	for i, dst := range []*strictjson.Object{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, errors.New("it is not a JWT")
		}
		if *dst, err = strictjson.Parse(b); err != nil {
			return nil, nil, err
		}
	}
	return header, claims, nil
}
