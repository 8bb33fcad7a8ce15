// Package signin brings a person through the identity provider and back: it
// opens the sign-in page in the browser and waits on a loopback address for the
// authorization code (OpenID Connect Core section 3.1, RFC 8252, RFC 7636, RFC 9207).
// It does the same at an authorization server that asks for a person's consent.
//
// It is the first stage of the flow. What the code is worth, and who the person
// is, is the business of the packages identity and consent, which come next.
package signin

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Request says where a person signs in, and how.
type Request struct {
	// Issuer is that of the validated metadata which AuthorizationEndpoint is from.
	// It is on record before anybody is sent there (RFC 9207 section 2.4, attack S4).
	Issuer                string
	AuthorizationEndpoint string
	// IssParameterSupported is whether the issuer promises to name itself in its
	// answer (RFC 9207).
	IssParameterSupported bool

	ClientID  string // at this issuer
	Scopes    []string
	Resource  string // RFC 8707; empty leaves the parameter out
	Prompt    string
	LoginHint string
	ACRValues []string
	MaxAge    time.Duration // zero leaves the parameter out

	// OAuthOnly asks for a consent, not for who the person is: no "openid" is added
	// to Scopes, and no nonce is sent.
	OAuthOnly bool

	// Who is the issuer's part, for messages; empty means "the identity provider".
	Who string

	RedirectHost string // "127.0.0.1", "localhost" or "[::1]"; empty means the first
	RedirectPort int    // zero means any free one
	RedirectPath string // empty means "/callback"
}

func (r Request) who() string {
	if r.Who == "" {
		return "the identity provider"
	}
	return r.Who
}

// Code is what a person brings back.
type Code struct {
	Code, Verifier secret.Text
	RedirectURI    string
	Nonce          string // empty when none was sent
}

// Refused is the issuer's no. Description is its text, not cleaned.
type Refused struct{ Code, Description, Who string }

func (e *Refused) Error() string {
	return fmt.Sprintf("%s answered the sign-in with %q", Request{Who: e.Who}.who(), e.Code)
}

// Forged says that an answer to the sign-in cannot have come from the issuer that
// was asked (attacks S4, S37). It holds no text of the answer, as RFC 9207 section
// 2.4 demands.
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
	l, err := listen(ctx, r.RedirectHost, r.RedirectPort, r.RedirectPath)
	if err != nil {
		return err
	}
	code := Code{Verifier: secret.New(oauth2.GenerateVerifier()), RedirectURI: l.redirectURI}
	if !r.OAuthOnly {
		code.Nonce = rand.Text()
	}
	state := rand.Text()
	address, err := r.address(code, state)
	if err != nil {
		l.close()
		return err
	}
	l.expect(expectation{state: state, issuer: r.Issuer, issRequired: r.IssParameterSupported, who: r.who(), consent: r.OAuthOnly})
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

// address is the authorization request (RFC 6749 section 4.1.1; OpenID Connect Core
// section 3.1.2.1).
func (r Request) address(code Code, state string) (string, error) {
	u, err := r.endpoint()
	if err != nil {
		return "", err
	}
	scopes := r.Scopes
	if !r.OAuthOnly && !slices.Contains(scopes, "openid") {
		scopes = append([]string{"openid"}, scopes...)
	}
	config := oauth2.Config{
		ClientID:    r.ClientID,
		Endpoint:    oauth2.Endpoint{AuthURL: u.String()},
		RedirectURL: code.RedirectURI,
		Scopes:      scopes,
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(code.Verifier.Reveal())}
	for name, value := range map[string]string{
		"nonce": code.Nonce, "resource": r.Resource,
		"prompt": r.Prompt, "login_hint": r.LoginHint, "acr_values": strings.Join(r.ACRValues, " "), "max_age": seconds(r.MaxAge),
	} {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	return config.AuthCodeURL(state, options...), nil
}

// endpoint is where the browser is sent. The network has named it, so that it must
// be an address of the web that means the same to every reader (attacks S14, S15),
// and not say already what only we may say: of a parameter that stands twice a
// server may take either (attack S37).
func (r Request) endpoint() (*url.URL, error) {
	refuse := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("%s's authorization endpoint %s", r.who(), why)
	}
	raw := r.AuthorizationEndpoint
	u, err := url.Parse(raw)
	issuer, issuerErr := url.Parse(r.Issuer)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(raw, "#") || strings.ContainsFunc(raw, unprintable) ||
		u.Scheme != "https" && !(isLoopback(u) && issuerErr == nil && isLoopback(issuer)) {
		return refuse("is not an https address")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return refuse("has a query that cannot be read")
	}
	for name := range query {
		if slices.Contains(parameters, name) {
			return refuse(fmt.Sprintf("says already what is ours to say (%s)", name))
		}
	}
	return u, nil
}

// parameters are those of an authorization request that decide what is granted, to
// whom, and where the answer goes. What else an endpoint's query holds, such as a
// tenant, is kept (RFC 6749 section 3.1).
var parameters = []string{"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "resource", "request", "request_uri", "dpop_jkt"}

// unprintable: a name in another script has to be written as xn--, in which it
// cannot look like another (attack S15).
func unprintable(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }

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
