// Package signin brings a person through the identity provider and back: it
// opens the sign-in page in the browser and waits on a loopback address for the
// authorization code (OpenID Connect Core section 3.1, RFC 8252, RFC 7636, RFC 9207).
//
// It is the first stage of the flow. What the code is worth, and who the person
// is, is the business of package identity, which comes next.
package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Request says where a person signs in, and how.
type Request struct {
	Issuer                string
	AuthorizationEndpoint string

	// IssParameterSupported is whether the identity provider promises to name
	// itself in its answer (RFC 9207).
	IssParameterSupported bool

	IdPClientID string
	Scopes      []string // "openid" is added when it is not there
	Prompt      string
	LoginHint   string
	ACRValues   []string
	MaxAge      time.Duration // zero leaves the parameter out

	RedirectHost string // "127.0.0.1", "localhost" or "[::1]"; empty means the first
	RedirectPort int    // zero means any free one
}

// Code is what a person brings back.
type Code struct {
	Code, Verifier secret.Text
	RedirectURI    string
	Nonce          string
}

// Refused is the identity provider's no. Description is its text, not cleaned.
type Refused struct{ Code, Description string }

func (e *Refused) Error() string {
	return fmt.Sprintf("the identity provider answered the sign-in with %q", e.Code)
}

// Forged says that an answer to the sign-in cannot have come from the identity
// provider that was asked (attacks S4, S37). It holds no text of the answer, as
// RFC 9207 section 2.4 demands.
type Forged struct{ Why string }

func (e *Forged) Error() string { return "the answer to the sign-in was not trusted: " + e.Why }

// Browser has a person sign in. It calls open with the address of the sign-in
// page once it listens for the answer, and finish with the code that came back;
// the page that the person sees in the end tells whether finish was content.
//
// An error is a *Refused, a *Forged, a *PortBusy, what open or finish returned,
// or the context's. Answers that do not belong to this sign-in are turned away
// and waited past, so that no web site can end it (attack S12).
func Browser(ctx context.Context, r Request, open func(ctx context.Context, address string) error, finish func(context.Context, Code) error) error {
	l, err := listen(ctx, r.RedirectHost, r.RedirectPort)
	if err != nil {
		return err
	}
	code := Code{
		Verifier:    secret.New(oauth2.GenerateVerifier()),
		RedirectURI: l.redirectURI,
		Nonce:       rand.Text(),
	}
	state := rand.Text()
	address, err := r.address(code, state)
	if err != nil {
		l.close()
		return err
	}
	l.expect(expectation{state: state, issuer: r.Issuer, issRequired: r.IssParameterSupported})
	go l.serve()
	defer l.close()

	if err := open(ctx, address); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		select { // too late, and somebody looks at the tab
		case a := <-l.answers:
			a.show(false)
		default:
		}
		return fmt.Errorf("wait for the sign-in: %w", ctx.Err())
	case a := <-l.answers:
		if a.err == nil {
			code.Code = a.code
			a.err = finish(ctx, code)
		}
		a.show(a.err == nil)
		return a.err
	}
}

// address is the authorization request (OpenID Connect Core section 3.1.2.1).
func (r Request) address(code Code, state string) (string, error) {
	u, err := url.Parse(r.AuthorizationEndpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(r.AuthorizationEndpoint, "#") || (u.Scheme != "https" && !isLoopback(u)) {
		return "", errors.New("the identity provider's authorization endpoint is not an https address") // attack S14
	}
	scopes := r.Scopes
	if !strings.Contains(" "+strings.Join(scopes, " ")+" ", " openid ") {
		scopes = append([]string{"openid"}, scopes...)
	}
	config := oauth2.Config{
		ClientID:    r.IdPClientID,
		Endpoint:    oauth2.Endpoint{AuthURL: u.String()},
		RedirectURL: code.RedirectURI,
		Scopes:      scopes,
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(code.Verifier.Reveal()),
		oauth2.SetAuthURLParam("nonce", code.Nonce),
	}
	for name, value := range map[string]string{
		"prompt": r.Prompt, "login_hint": r.LoginHint, "acr_values": strings.Join(r.ACRValues, " "), "max_age": seconds(r.MaxAge),
	} {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	return config.AuthCodeURL(state, options...), nil
}

// isLoopback: plain http is for loopback only (attack S9).
func isLoopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}

func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.Itoa(int(d / time.Second))
}
