package idjagtest

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
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

	Thumbprint string // of the key it is bound to (RFC 9449); "" for a bearer token
}

// AS is the authorization server of MCP servers. By default it redeems ID-JAGs
// for access tokens and does nothing else; fields switch on what a standard OAuth
// 2.1 server does. The zero value works; add clients, resources and trusted
// issuers, then Start.
type AS struct {
	Party
	clients

	Issuer   string // set by Start when empty: the listener's URL and Path
	Path     string // of the issuer, for instance "/tenant" or "/"
	Metadata MetadataForm

	// NoMetadata publishes none, as servers of MCP 2025-03-26 may: with an issuer
	// that is an origin, clients fall back to /authorize, /token and /register there.
	NoMetadata bool

	TokenLifetime   time.Duration // of access tokens; 0 means 15 minutes
	JWT             bool          // issue RFC 9068 access tokens rather than opaque ones
	RefreshTokens   bool          // return a refresh token for an ID-JAG, which JAG section 4.4.3 advises against
	DefaultResource string        // for requests and ID-JAGs without resource; "" refuses them
	NoIDJAG         bool          // neither announce nor redeem ID-JAGs, as most servers

	// Consent opens the authorization endpoint: people whom AddPerson knows sign
	// in on a page, agree or decline on the next, and the client gets a code.
	// PKCE S256, state, resource (in both requests, the same) and a registered
	// redirect URI are required; the answer has iss (RFC 9207).
	Consent       bool
	OfflineAccess bool // list the scope offline_access and give refresh tokens to who asks for it
	AlwaysRefresh bool // give refresh tokens unasked
	NoRotation    bool // a refresh token stays good, and answers to it bring no new one

	// Registration opens RFC 7591 registration to native programs: application_type
	// native, http redirect URIs on loopback, the code and refresh grants, and one of
	// AuthMethods. The rest gets invalid_redirect_uri or invalid_client_metadata.
	Registration   bool
	AuthMethods    []string      // listed in the metadata and open to registrations; nil means none, basic and post, and those of AddClient
	SecretLifetime time.Duration // of secrets given to registrations; 0 means for ever

	// CIMD accepts client IDs that are URLs of metadata documents, for all grants,
	// ID-JAGs included (EMA section 5); nil accepts none.
	CIMD *CIMDPolicy

	AutoApprove  bool                         // sign in and agree for whom login_hint names, or the first person, without pages
	ChoosePerson bool                         // the sign-in page offers people to click on, without passwords
	Page         func(io.Writer, SignInPage)  // renders the sign-in page; nil means a plain one
	AgreePage    func(io.Writer, ConsentPage) // renders the consent page; nil means a plain one

	state     sync.Mutex
	key       *Key
	trusted   map[string]KeySource
	resources map[string][]string // scopes by resource
	replayed  map[string]bool     // iss and jti of the ID-JAGs redeemed
	tokens    map[string]*AccessToken
	people    []Person
	pending   map[string]*asking // authorization requests whose page is open
	codes     map[string]*grantCode
	refreshes map[string]*grantRefresh
	consents  []*consent
	platforms map[string]trustedPlatform // by issuer
	newcomers []Client                   // who registered, oldest first
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

// Registered returns the clients that registered themselves, oldest first, with
// their secrets, whether or not RemoveClient forgot them since.
func (a *AS) Registered() []Client {
	a.state.Lock()
	defer a.state.Unlock()
	return slices.Clone(a.newcomers)
}

// AddPerson lets somebody sign in here, for Consent.
func (a *AS) AddPerson(who Person) {
	a.state.Lock()
	defer a.state.Unlock()
	a.people = append(a.people, who)
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

// RevokeConsents takes back what a person agreed to, with all its tokens: refresh
// tokens answer invalid_grant from now on. The person can agree again.
func (a *AS) RevokeConsents(subject string) {
	a.state.Lock()
	defer a.state.Unlock()
	for _, s := range a.consents {
		if s.person.Subject == subject {
			s.end("the consent was taken back")
		}
	}
}

func (a *AS) base() string { return strings.TrimSuffix(a.Issuer, "/") }

// TokenEndpoint is where ID-JAGs, codes and refresh tokens go.
func (a *AS) TokenEndpoint() string { return a.base() + "/token" }

// AuthorizationEndpoint is where the browser goes, with Consent.
func (a *AS) AuthorizationEndpoint() string { return a.base() + "/authorize" }

// RegistrationEndpoint is where clients register, with Registration.
func (a *AS) RegistrationEndpoint() string { return a.base() + "/register" }

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
	kind, serve := a.endpoint(r.URL.Path)
	if serve == nil {
		kind, serve = is(Unknown), noSuchPath
	}
	a.answer(w, r, kind, serve)
}

// endpoint returns what answers at a path, and how its requests are named; nil
// when there is nothing.
func (a *AS) endpoint(path string) (kind func(url.Values) string, serve func(*call) *refusal) {
	at := func(full string) bool {
		u, err := url.Parse(full)
		return err == nil && u.Path == path
	}
	switch base := a.base(); {
	case at(a.MetadataURL()) && a.NoMetadata:
		return is(Metadata), noSuchPath
	case at(a.MetadataURL()):
		return is(Metadata), a.metadata
	case at(base + "/jwks"):
		return is(JWKS), a.jwks
	case at(a.TokenEndpoint()):
		return a.grantKind, a.token
	case at(base + "/revoke"):
		return is(Revoke), a.revoke
	case a.Registration && at(a.RegistrationEndpoint()):
		return is(Register), a.register
	case a.Consent && at(a.AuthorizationEndpoint()):
		return is(Authorize), a.authorize
	case a.Consent && at(base+"/sign-in"):
		return is(SignInForm), a.signIn
	case a.Consent && at(base+"/consent"):
		return is(ConsentForm), a.agree
	}
	return nil, nil
}

func is(what string) func(url.Values) string { return func(url.Values) string { return what } }
