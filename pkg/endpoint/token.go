package endpoint

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Lifetimes that GetToken assumes or allows.
const (
	DefaultLifetime = 5 * time.Minute // of an access token whose lifetime is not told
	MaxLifetime     = 24 * time.Hour  // longer ones count as this (rule A4)
)

// TokenRequest asks a token endpoint for an access token, by whatever grant the
// form holds.
type TokenRequest struct {
	Request

	// Resource and Scopes are sent besides what the form holds, and the answer is
	// compared with them. Empty leaves the parameter out (RFC 8707; RFC 6749
	// section 3.3).
	Resource string
	Scopes   []string

	// RequireBound takes no token but one that is bound to the Prover's key.
	RequireBound bool

	Now func() time.Time // nil means time.Now
}

// Token is an access token that passed the checks A1 to A7. What it says is
// between its two servers (RFC 9068 section 6) and is not checked.
type Token struct {
	AccessToken secret.Text
	Type        string // "Bearer", or "DPoP": then every use of it needs a proof

	// Expires is the local time of the answer plus the stated lifetime. When none
	// is stated it is the token's own "exp" if it can be read, and else the time of
	// the answer plus DefaultLifetime.
	Expires time.Time

	Scopes  []string // granted: by the response, else those of the request
	Reduced []string // requested and not granted

	RefreshToken secret.Text // zero when none came

	Warnings []string // departures from the standards that were tolerated, for people
}

// GetToken posts a token request and checks what comes. An error is an *Error when
// the server refused, a *CheckError when its answer is unusable, and otherwise what
// Post returns. With a *CheckError the refresh token that came is returned all the
// same: where it replaces another one, that one is spent. A server that was shown a key and gives an unbound token all the
// same is heard, with a warning, unless RequireBound is set (rule A3).
func GetToken(ctx context.Context, client *http.Client, r TokenRequest) (Token, error) {
	if r.RequireBound && r.Prover == nil {
		return Token{}, errors.New("get token: it must be bound to a key, and there is none")
	}
	form := url.Values{}
	for name, values := range r.Form {
		form[name] = values
	}
	if r.Resource != "" {
		form.Set("resource", r.Resource)
	}
	if len(r.Scopes) > 0 {
		form.Set("scope", strings.Join(r.Scopes, " "))
	}
	r.Form = form
	asked := time.Now()
	if r.Now != nil {
		asked = r.Now()
	}
	answer, err := Post(ctx, client, r.Request)
	if err != nil {
		return Token{}, err
	}
	t, err := r.check(answer, asked)
	refresh, bad := answer.Text("refresh_token")
	if bad != nil {
		t.warn("the refresh token is no text, so that it is not kept")
	}
	t.RefreshToken = secret.New(refresh)
	return t, err
}

// maxScope bounds a list of scopes, in bytes: callers keep it, and compare it with others.
const maxScope = 16 << 10

// check applies A1 to A7; A9 is Post's. Comments name the rules.
func (r TokenRequest) check(answer Answer, asked time.Time) (Token, error) {
	var t Token
	if answer.Note != "" {
		t.warn("%s", answer.Note)
	}
	access, err := answer.Text("access_token")
	if err != nil || access == "" {
		return Token{}, &CheckError{Rule: "A1", What: "the answer has no access_token"}
	}
	if !visible(access) { // A1, attack S26
		return Token{}, &CheckError{Rule: "A1", What: "the access token holds characters that no header can carry", Security: true}
	}
	t.AccessToken = secret.New(access)
	if err := r.checkType(&t, answer); err != nil {
		return Token{}, err
	}
	t.Expires = expiry(&t, answer, asked) // A4

	t.Scopes = slices.Clone(r.Scopes)
	if granted, err := answer.Text("scope"); err != nil {
		return Token{}, &CheckError{Rule: "A5", What: err.Error()}
	} else if len(granted) > maxScope {
		return Token{}, &CheckError{Rule: "A5", What: fmt.Sprintf("the scopes granted have more than %d bytes", maxScope)}
	} else if answer.Has("scope") {
		t.Scopes = strings.Fields(granted)
	}
	t.Reduced = missing(r.Scopes, t.Scopes)
	if wider := missing(t.Scopes, r.Scopes); len(r.Scopes) > 0 && wider != nil {
		t.warn("the authorization server granted more than was asked for: %q", wider)
	}
	if issued, err := answer.Text("issued_token_type"); err != nil || issued != "" && !strings.HasSuffix(issued, ":access_token") { // A6
		t.warn("issued_token_type is %q, want an access token", issued)
	}
	if got, err := answer.Text("resource"); err != nil || got != "" && r.Resource != "" && got != r.Resource { // A7
		return Token{}, &CheckError{Rule: "A7", What: "the resource the token is for", Got: got, Want: r.Resource, Security: true}
	}
	return t, nil
}

// checkType applies A2 and A3: a token of an unknown type must not be used (RFC
// 6749 section 7.1), and one that is bound to a key is of use with that key only
// (RFC 9449 section 5).
func (r TokenRequest) checkType(t *Token, answer Answer) error {
	typ, err := answer.Text("token_type")
	switch {
	case err != nil || typ == "":
		return &CheckError{Rule: "A2", What: "the answer does not say how to use the access token (token_type)"}
	case strings.EqualFold(typ, "DPoP"):
		if r.Prover == nil {
			return &CheckError{Rule: "A3", What: "the access token is bound to a key (DPoP) although no key was shown", Security: true}
		}
		t.Type = "DPoP"
	case !strings.EqualFold(typ, "Bearer"):
		return &CheckError{Rule: "A2", What: "token_type", Got: typ, Want: "Bearer"}
	case r.RequireBound:
		return &CheckError{Rule: "A3", What: "the access token is not bound to our key (DPoP) although that is required", Security: true}
	default:
		t.Type = "Bearer"
		if r.Prover != nil {
			t.warn("the access token is not bound to our key (DPoP), so that whoever has it can use it")
		}
	}
	return nil
}

// expiry counts from the question: the answer may have lain about while the computer
// slept. It has no monotonic reading, which stands still meanwhile.
func expiry(t *Token, answer Answer, asked time.Time) time.Time {
	asked = asked.Round(0)
	life, stated, err := answer.Seconds("expires_in")
	switch {
	case err != nil || stated && life <= 0:
		t.warn("expires_in is not a length of time, so that the token is not kept")
		return asked
	case stated:
		return asked.Add(min(life, MaxLifetime))
	}
	if end := ownExpiry(t.AccessToken.Reveal()); !end.IsZero() {
		return asked.Add(min(max(end.Sub(asked), 0), MaxLifetime))
	}
	return asked.Add(DefaultLifetime)
}

// ownExpiry is the "exp" of a token that happens to be a JWT, zero otherwise.
func ownExpiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	claims, err := strictjson.Parse(payload)
	if err != nil {
		return time.Time{}
	}
	end, _ := claims.Time("exp")
	return end
}

func (t *Token) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
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

// missing returns what of want is not in have.
func missing(want, have []string) (lack []string) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			lack = append(lack, w)
		}
	}
	return lack
}
