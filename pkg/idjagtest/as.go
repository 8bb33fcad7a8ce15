package idjagtest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// MetadataForm says at which of the places of MCP's discovery order a server
// publishes its metadata.
type MetadataForm int

// Places for the issuer https://h/t.
const (
	OAuthMetadata MetadataForm = iota // /.well-known/oauth-authorization-server/t
	OIDCInserted                      // /.well-known/openid-configuration/t
	OIDCAppended                      // /t/.well-known/openid-configuration
)

// AccessToken is what the authorization server knows of a token it issued.
type AccessToken struct {
	Subject  string
	Client   string
	Resource string
	Scopes   []string
	Expires  time.Time
	Revoked  bool
}

// AS is the authorization server of MCP servers: it redeems ID-JAGs for access
// tokens and does nothing else. The zero value works; add clients, resources and
// trusted issuers, then Start.
type AS struct {
	Party
	clients

	Issuer   string // set by Start when empty: the listener's URL and Path
	Path     string // of the issuer, for instance "/tenant" or "/"
	Metadata MetadataForm

	TokenLifetime   time.Duration // of access tokens; 0 means 15 minutes
	JWT             bool          // issue RFC 9068 access tokens rather than opaque ones
	RefreshTokens   bool          // return a refresh token, which JAG section 4.4.3 advises against
	DefaultResource string        // for ID-JAGs without resource; "" refuses them

	state     sync.Mutex
	key       *Key
	trusted   map[string]KeySource
	resources map[string][]string // scopes by resource
	replayed  map[string]bool     // iss and jti of the ID-JAGs redeemed
	tokens    map[string]*AccessToken
}

// Start listens on loopback over plain HTTP.
func (a *AS) Start() error { return a.start(nil) }

// StartTLS listens on loopback with a certificate from ca.
func (a *AS) StartTLS(ca *CA) error { return a.start(ca) }

func (a *AS) start(ca *CA) error {
	if err := a.makeKey(); err != nil {
		return err
	}
	l, base, err := a.listen(ca)
	if err != nil {
		return err
	}
	if a.Issuer == "" {
		a.Issuer = base + a.Path
	}
	a.serve(l, a)
	return nil
}

// makeKey makes the key for JWT access tokens, once.
func (a *AS) makeKey() (err error) {
	a.state.Lock()
	defer a.state.Unlock()
	if a.key == nil {
		a.key, err = NewKey(ES256)
	}
	return err
}

// Trust accepts ID-JAGs of an issuer. TrustIdP is the short form in one process.
func (a *AS) Trust(issuer string, keys KeySource) {
	a.state.Lock()
	defer a.state.Unlock()
	if a.trusted == nil {
		a.trusted = map[string]KeySource{}
	}
	a.trusted[issuer] = keys
}

// TrustIdP accepts the ID-JAGs of a started IdP, whose keys it reads without a
// request, so that the IdP's record holds only what clients asked.
func (a *AS) TrustIdP(p *IdP) {
	a.Trust(p.Issuer, func(context.Context) ([]byte, error) { return p.JWKS(), nil })
}

// AddResource makes the server responsible for a resource with these scopes.
func (a *AS) AddResource(resource string, scopes ...string) {
	a.state.Lock()
	defer a.state.Unlock()
	if a.resources == nil {
		a.resources = map[string][]string{}
	}
	a.resources[resource] = scopes
}

// Lookup returns what is known of an access token (the introspection of RFC 7662,
// in Go). ok is false for a token that was never issued, has expired or is revoked.
func (a *AS) Lookup(token string) (t AccessToken, ok bool) {
	a.state.Lock()
	defer a.state.Unlock()
	held := a.tokens[token]
	if held == nil {
		return AccessToken{}, false
	}
	return *held, !held.Revoked && held.Expires.After(a.Clock())
}

// RevokeTokens revokes all access tokens of a person.
func (a *AS) RevokeTokens(subject string) {
	a.state.Lock()
	defer a.state.Unlock()
	for _, t := range a.tokens {
		if t.Subject == subject {
			t.Revoked = true
		}
	}
}

func (a *AS) base() string { return strings.TrimSuffix(a.Issuer, "/") }

// TokenEndpoint is where ID-JAGs are redeemed.
func (a *AS) TokenEndpoint() string { return a.base() + "/token" }

// MetadataURL is where the metadata is, by Metadata.
func (a *AS) MetadataURL() string {
	u, err := url.Parse(a.base())
	if err != nil {
		return ""
	}
	origin, path := u.Scheme+"://"+u.Host, u.Path
	switch a.Metadata {
	case OIDCInserted:
		return origin + "/.well-known/openid-configuration" + path
	case OIDCAppended:
		return origin + path + "/.well-known/openid-configuration"
	}
	return origin + "/.well-known/oauth-authorization-server" + path
}

// ServeHTTP implements http.Handler. Issuer must be set or the party started.
func (a *AS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.makeKey(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	is := func(what string) func(url.Values) string { return func(url.Values) string { return what } }
	at := func(full string) bool {
		u, err := url.Parse(full)
		return err == nil && u.Path == r.URL.Path
	}
	switch {
	case at(a.MetadataURL()):
		a.answer(w, r, is(Metadata), a.metadata)
	case at(a.base() + "/jwks"):
		a.answer(w, r, is(JWKS), a.jwks)
	case at(a.TokenEndpoint()):
		a.answer(w, r, grantKind, a.token)
	case at(a.base() + "/revoke"):
		a.answer(w, r, is(Revoke), a.revoke)
	default:
		a.answer(w, r, is(Unknown), noSuchPath)
	}
}

// metadata is RFC 8414 with the profile of JAG section 7.2. The methods listed
// are those of the registered clients.
func (a *AS) metadata(c *call) *refusal {
	base := a.base()
	return a.reply(c, map[string]any{
		"issuer":                                 a.Issuer,
		"token_endpoint":                         base + "/token",
		"revocation_endpoint":                    base + "/revoke",
		"jwks_uri":                               base + "/jwks",
		"response_types_supported":               []string{},
		"grant_types_supported":                  []string{GrantJWTBearer},
		"authorization_grant_profiles_supported": []string{ProfileIDJAG},
		"token_endpoint_auth_methods_supported":  a.methods(),
		"token_endpoint_auth_signing_alg_values_supported": []string{ES256, RS256},
	})
}

func (s *clients) methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []string{}
	for _, c := range s.byID {
		if !slices.Contains(list, c.method()) {
			list = append(list, c.method())
		}
	}
	slices.Sort(list)
	return list
}

func (a *AS) jwks(c *call) *refusal {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: publicHalves([]*Key{a.key})})
	if err != nil {
		return refuse("server_error", "publish keys: %v", err)
	}
	var set map[string]any
	if err := json.Unmarshal(text, &set); err != nil {
		return refuse("server_error", "publish keys: %v", err)
	}
	return a.reply(c, set)
}

// revoke is RFC 7009.
func (a *AS) revoke(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	client, err := a.authenticate(c, a.Issuer, a.TokenEndpoint(), a.Clock())
	if err != nil {
		return err
	}
	value, err := c.need("token")
	if err != nil {
		return err
	}
	a.state.Lock()
	defer a.state.Unlock()
	if t := a.tokens[value]; t != nil {
		if t.Client != client.ID {
			return refuse("invalid_grant", "the token is another client's")
		}
		t.Revoked = true
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
