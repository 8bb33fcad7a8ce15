package idjag

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// MaxLife is the longest time between "iat" and "exp" that a Verifier takes when
// it sets no other.
const MaxLife = 10 * time.Minute

// KeySet checks a JWS against the keys of one issuer and returns its payload.
// go-oidc's RemoteKeySet and StaticKeySet are key sets. VerifySignature must not
// take keys from the token's own header.
type KeySet interface {
	VerifySignature(ctx context.Context, jwt string) (payload []byte, err error)
}

// Replay remembers the ID-JAGs that were used.
type Replay interface {
	// Use records an ID-JAG by its issuer and "jti" until it expires, and returns
	// ErrReplayed when it was recorded before. Of two calls at one time for the
	// same ID-JAG, in one process or in several, one must fail. Any other error
	// refuses the ID-JAG, too.
	Use(ctx context.Context, issuer, jti string, until time.Time) error
}

// ErrReplayed is what a Replay returns for an ID-JAG that was used before.
var ErrReplayed = errors.New("the ID-JAG was used before")

// Verifier checks ID-JAGs for an authorization server (the draft, section 4.4.1;
// RFC 7523 section 3). Issuer, IdPs and Replay are required; the zero values of
// the others are the strict ones.
type Verifier struct {
	// Issuer is the authorization server's own issuer: the one audience taken.
	Issuer string

	// IdPs are the trusted identity providers by issuer.
	IdPs map[string]KeySet

	// Resources are the identifiers of the protected resources that tokens are
	// issued for. Nil takes any resource, for a server that checks it later.
	Resources []string

	// Replay makes an ID-JAG good for one use.
	Replay Replay

	MaxLife time.Duration    // between iat and exp; zero means the constant MaxLife
	Leeway  time.Duration    // between clocks; zero means the constant Leeway
	Now     func() time.Time // nil means time.Now

	// InsecureAllowNoResource takes ID-JAGs without a "resource" claim. The token
	// is then for whatever resource the server picks by itself.
	InsecureAllowNoResource bool
}

// VerifyError is a refusal. Code is the OAuth error to answer with. The text says
// which check failed and is for the server's log: tell the client the code only,
// since an attacker learns from the rest.
type VerifyError struct {
	Code   string // "invalid_grant" or "invalid_target"
	Reason string
}

func (e *VerifyError) Error() string { return "ID-JAG refused: " + e.Reason }

// Verify checks an ID-JAG that was presented by an authenticated client, and uses
// it up: a second call for the same one fails. clientID is that client's ID, as
// authenticated and not as stated in the form.
//
// An error is a *VerifyError when the ID-JAG is refused, and otherwise says that
// it could not be decided, with the error of ctx, of the Replay or of the network
// (a net.Error from the key set) in it.
// Verify does not decide whether the person may have a token, nor with which of
// the scopes: that is the authorization server's policy. Encrypted ID-JAGs are
// refused, and so are those that are bound to a key (cnf): VerifyBound is for a
// client that has shown one.
func (v *Verifier) Verify(ctx context.Context, assertion secret.Text, clientID string) (Claims, error) {
	return v.VerifyBound(ctx, assertion, clientID, "")
}

// VerifyBound is Verify for a client that has shown a key: thumbprint is that of the
// key (RFC 7638, SHA-256, base64url) in a DPoP proof that came with the ID-JAG. The
// proof is the caller's to check (RFC 9449 section 4.3). An ID-JAG that is bound to
// another key, or by another method besides, is refused (the draft, section 9.8);
// one that is bound to none is taken: whether that will do is the server's policy,
// by Claims.Bound. An empty thumbprint is that of a client without a key.
func (v *Verifier) VerifyBound(ctx context.Context, assertion secret.Text, clientID, thumbprint string) (Claims, error) {
	if v.Issuer == "" || v.Replay == nil || clientID == "" {
		return Claims{}, errors.New("verify ID-JAG: issuer, replay store and client id are required")
	}
	// The unsigned reading only picks the keys; everything is read again below.
	c, err := Parse(assertion)
	switch {
	case err != nil:
		return Claims{}, grantRefused("%v", err)
	case c.Opaque:
		return Claims{}, grantRefused("encrypted ID-JAGs are not supported")
	case !c.isIDJAG():
		return Claims{}, grantRefused("typ is %q, want %q", c.Type, JWTType)
	}
	keys := v.IdPs[c.Issuer]
	if keys == nil {
		return Claims{}, grantRefused("issuer %q is not a trusted identity provider", c.Issuer)
	}
	payload, err := keys.VerifySignature(ctx, assertion.Reveal())
	var network net.Error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return Claims{}, fmt.Errorf("verify ID-JAG: %w", ctx.Err())
	case errors.As(err, &network):
		return Claims{}, fmt.Errorf("verify ID-JAG: get the keys of %q: %w", c.Issuer, err)
	default:
		return Claims{}, grantRefused("signature: %v", err)
	}
	signed := Claims{Type: c.Type, Algorithm: c.Algorithm, KeyID: c.KeyID}
	if o, err := strictjson.Parse(payload); err != nil {
		return Claims{}, grantRefused("%v", err)
	} else if err := signed.read(o); err != nil {
		return Claims{}, grantRefused("%v", err)
	}
	if err := v.check(signed, c.Issuer, clientID, thumbprint); err != nil {
		return Claims{}, err
	}
	if err := v.use(ctx, signed); err != nil {
		return Claims{}, err
	}
	return signed, nil
}

func (v *Verifier) check(c Claims, issuer, clientID, thumbprint string) error {
	switch {
	case c.Issuer != issuer:
		return grantRefused("issuer is %q, want %q", c.Issuer, issuer)
	case len(c.Audience) != 1 || c.Audience[0] != v.Issuer:
		return grantRefused("audience is %q, want only %q", c.Audience, v.Issuer)
	case c.ClientID != clientID:
		return grantRefused("client_id is %q, but the client is %q", c.ClientID, clientID)
	case c.Subject == "":
		return grantRefused("no subject (sub)")
	case c.JTI == "":
		return grantRefused("no identifier (jti)")
	case c.Bound && thumbprint == "":
		return grantRefused("it is bound to a key (cnf), and the client has shown none")
	case c.Bound && c.KeyThumbprint != thumbprint:
		return grantRefused("it is bound to another key (cnf) than the client has shown")
	}
	if err := v.checkTimes(c); err != nil {
		return err
	}
	if len(c.Resource) == 0 && !v.InsecureAllowNoResource {
		return &VerifyError{Code: "invalid_target", Reason: "no resource"}
	}
	for _, r := range c.Resource {
		if v.Resources != nil && !slices.Contains(v.Resources, r) {
			return &VerifyError{Code: "invalid_target", Reason: fmt.Sprintf("resource %q is not served here", r)}
		}
	}
	return nil
}

func (v *Verifier) checkTimes(c Claims) error {
	now, leeway, most := clock(v.Now), v.Leeway, v.MaxLife
	if leeway == 0 {
		leeway = Leeway
	}
	if most == 0 {
		most = MaxLife
	}
	switch {
	case c.Expires.IsZero() || c.IssuedAt.IsZero():
		return grantRefused("exp and iat are required")
	case !c.Expires.Add(leeway).After(now):
		return grantRefused("it expired at %s", c.Expires.UTC().Format(time.RFC3339))
	case c.IssuedAt.After(now.Add(leeway)) || c.NotBefore.After(now.Add(leeway)):
		return grantRefused("it is from the future")
	case c.Expires.Sub(c.IssuedAt) > most:
		return grantRefused("it is good for %s, at most %s is taken", c.Expires.Sub(c.IssuedAt), most)
	}
	return nil
}

// use comes last, so that an ID-JAG refused for another reason is not used up.
func (v *Verifier) use(ctx context.Context, c Claims) error {
	leeway := v.Leeway
	if leeway == 0 {
		leeway = Leeway
	}
	err := v.Replay.Use(ctx, c.Issuer, c.JTI, c.Expires.Add(leeway))
	if errors.Is(err, ErrReplayed) {
		return grantRefused("%v", ErrReplayed)
	}
	if err != nil {
		return fmt.Errorf("verify ID-JAG: record its use: %w", err)
	}
	return nil
}

// GrantedScopes is what of the requested scopes an ID-JAG allows: those that it
// names as well, or all that it names when none is requested.
func (c Claims) GrantedScopes(requested string) []string {
	if strings.TrimSpace(requested) == "" {
		return c.Scopes
	}
	var granted []string
	for _, s := range strings.Fields(requested) {
		if slices.Contains(c.Scopes, s) {
			granted = append(granted, s)
		}
	}
	return granted
}

func grantRefused(format string, args ...any) error {
	return &VerifyError{Code: "invalid_grant", Reason: fmt.Sprintf(format, args...)}
}
