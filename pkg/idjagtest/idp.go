package idjagtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// URNs of the flow (RFC 8693 section 3, RFC 7523 section 2.1, JAG sections 4 and 7).
const (
	GrantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantJWTBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	TypeIDJAG        = "urn:ietf:params:oauth:token-type:id-jag"
	TypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	ProfileIDJAG     = "urn:ietf:params:oauth:grant-profile:id-jag"

	jwtTypeIDJAG = "oauth-id-jag+jwt"

	grantCodeFlow   = "authorization_code"
	grantRefreshing = "refresh_token"
	grantOwn        = "client_credentials"
)

// Person is somebody who can sign in at the IdP.
type Person struct {
	Subject  string
	Name     string
	Email    string // what is typed into the sign-in form; the subject works as well
	Password string
	Groups   []string
}

// Connection is one line of the company's policy: which people reach which
// resource behind which authorization server, as which client, with which scopes.
type Connection struct {
	Audience string // the authorization server's issuer
	Resource string // the MCP server's RFC 9728 identifier
	ClientID string // the client's ID at the authorization server
	Scopes   []string
	Groups   []string // whoever is in one of them is let through; empty means everybody

	Refusal      string // code for people outside Groups; "" means access_denied
	StrictScopes bool   // refuse a scope that is not in Scopes, rather than drop it
	ACR          string // demand this acr of the sign-in (RFC 9470)
}

// IdP is an identity provider: OpenID Connect discovery, a sign-in page, the
// code, refresh and exchange grants, revocation and a policy. It refuses what
// the specifications let it refuse. The zero value works; set the fields, add
// people, clients and connections, then Start.
type IdP struct {
	Party
	clients

	Issuer    string // set by Start when empty: the listener's URL and Path
	Path      string // of the issuer, for instance "/tenant" or "/"
	Algorithm string // of the signing keys, ES256 (default) or RS256

	AutoApprove  bool                        // sign in whom login_hint names, or the first person, without a page
	ChoosePerson bool                        // the page offers people to click on, without passwords
	Page         func(io.Writer, SignInPage) // renders the page; nil means a plain one

	NoRotation       bool          // the refresh token stays the same
	NoRefreshIDToken bool          // a refresh gives no ID token (OpenID Connect Core section 12.2 allows it)
	ResourceOptional bool          // accept an exchange without resource (JAG section 4.3.1 does, the MCP profile's test suite does not)
	NoRefreshSubject bool          // refuse refresh tokens as subject tokens
	ExpiredSubject   string        // code for an expired subject token; "" means invalid_grant, xaa.dev says invalid_request
	GrantLifetime    time.Duration // of an ID-JAG; 0 means 300 s

	state       sync.Mutex
	keys        []*Key // the first signs, all are published
	people      []Person
	gone        map[string]bool // subjects that were revoked
	connections []Connection
	sessions    map[string]*session
	pending     map[string]url.Values // authorization requests whose page is open
	codes       map[string]*code
	refreshes   map[string]*refresh
	idTokens    map[string]bool // by jti, those that ExpireIDTokens has not hit
	idTokenLife time.Duration
}

// session is one sign-in of one person at one client. All its tokens fall with it.
type session struct {
	id       string // the "sid" of ID tokens
	person   Person
	client   string
	nonce    string
	acr      string
	scopes   []string
	authTime time.Time
	jkt      string // key that the refresh tokens of a public client are bound to
	revoked  string // why, empty while it lives
}

type refresh struct {
	session *session
	used    bool
}

// Start listens on loopback over plain HTTP.
func (p *IdP) Start() error { return p.start(nil) }

// StartTLS listens on loopback with a certificate from ca.
func (p *IdP) StartTLS(ca *CA) error { return p.start(ca) }

func (p *IdP) start(ca *CA) error {
	if _, err := p.signingKey(); err != nil {
		return err
	}
	l, base, err := p.listen(ca)
	if err != nil {
		return err
	}
	if p.Issuer == "" {
		p.Issuer = base + p.Path
	}
	p.serve(l, p)
	return nil
}

// AddPerson lets somebody sign in.
func (p *IdP) AddPerson(who Person) {
	p.state.Lock()
	defer p.state.Unlock()
	p.people = append(p.people, who)
}

// AddConnection allows what the connection describes.
func (p *IdP) AddConnection(c Connection) {
	p.state.Lock()
	defer p.state.Unlock()
	p.connections = append(p.connections, c)
}

// RevokeConnection takes back what was allowed for a resource.
func (p *IdP) RevokeConnection(resource string) {
	p.state.Lock()
	defer p.state.Unlock()
	p.connections = slices.DeleteFunc(p.connections, func(c Connection) bool { return c.Resource == resource })
}

// RevokePerson ends all sessions of a person and lets no new one begin, as when
// somebody leaves the company.
func (p *IdP) RevokePerson(subject string) {
	p.state.Lock()
	defer p.state.Unlock()
	if p.gone == nil {
		p.gone = map[string]bool{}
	}
	p.gone[subject] = true
	for _, s := range p.sessions {
		if s.person.Subject == subject {
			s.revoked = "the person was revoked"
		}
	}
}

// RevokeSessions ends all sessions of a person; a new sign-in works.
func (p *IdP) RevokeSessions(subject string) {
	p.state.Lock()
	defer p.state.Unlock()
	for _, s := range p.sessions {
		if s.person.Subject == subject {
			s.revoked = "the session was revoked"
		}
	}
}

// SetIDTokenLifetime changes the lifetime of ID tokens issued from now on; 0
// means an hour, a negative one makes them expired at birth.
func (p *IdP) SetIDTokenLifetime(d time.Duration) {
	p.state.Lock()
	defer p.state.Unlock()
	p.idTokenLife = d
}

// ExpireIDTokens makes the IdP take every ID token issued so far as expired,
// whatever its exp says: a client that trusts exp alone has to cope.
func (p *IdP) ExpireIDTokens() {
	p.state.Lock()
	defer p.state.Unlock()
	clear(p.idTokens)
}

// RotateKeys signs with a new key from now on. The old ones stay published, and
// what they signed stays good, only with keepOld.
func (p *IdP) RotateKeys(keepOld bool) error {
	key, err := NewKey(p.Algorithm)
	if err != nil {
		return err
	}
	p.state.Lock()
	defer p.state.Unlock()
	if !keepOld {
		p.keys = nil
	}
	p.keys = append([]*Key{key}, p.keys...)
	return nil
}

func (p *IdP) signingKey() (*Key, error) {
	p.state.Lock()
	defer p.state.Unlock()
	if len(p.keys) == 0 {
		key, err := NewKey(p.Algorithm)
		if err != nil {
			return nil, err
		}
		p.keys = []*Key{key}
	}
	return p.keys[0], nil
}

// JWKS returns the published keys as JSON, as its jwks_uri does.
func (p *IdP) JWKS() []byte {
	p.state.Lock()
	defer p.state.Unlock()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: publicHalves(p.keys)})
	if err != nil {
		panic(err) // cannot be: the keys are of two known types
	}
	return text
}

// base is the issuer without a slash at the end; endpoints hang below it.
func (p *IdP) base() string { return strings.TrimSuffix(p.Issuer, "/") }

// TokenEndpoint is where codes, refresh tokens and subject tokens go.
func (p *IdP) TokenEndpoint() string { return p.base() + "/token" }

// AuthorizationEndpoint is where the browser goes.
func (p *IdP) AuthorizationEndpoint() string { return p.base() + "/authorize" }

// ServeHTTP implements http.Handler. Issuer must be set or the party started.
func (p *IdP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := p.signingKey(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	root := ""
	if u, err := url.Parse(p.base()); err == nil {
		root = u.Path
	}
	switch r.URL.Path {
	case root + "/.well-known/openid-configuration":
		p.answer(w, r, is(Metadata), p.metadata)
	case root + "/jwks":
		p.answer(w, r, is(JWKS), p.jwks)
	case root + "/authorize":
		p.answer(w, r, is(Authorize), p.authorize)
	case root + "/sign-in":
		p.answer(w, r, is(SignInForm), p.signIn)
	case root + "/token":
		p.answer(w, r, grantKind, p.token)
	case root + "/revoke":
		p.answer(w, r, is(Revoke), p.revoke)
	default:
		p.answer(w, r, is(Unknown), noSuchPath)
	}
}

func noSuchPath(c *call) *refusal {
	return refuse("not_found", "there is nothing at %s", c.r.URL.Path)
}

// grantKind names a token request by its grant type.
func grantKind(form url.Values) string {
	switch form.Get("grant_type") {
	case grantCodeFlow:
		return Code
	case grantRefreshing:
		return Refresh
	case GrantExchange:
		return Exchange
	case GrantJWTBearer:
		return Redeem
	case grantOwn:
		return ClientCredentials
	}
	return OtherGrant
}

func (p *IdP) metadata(c *call) *refusal {
	base := p.base()
	body := map[string]any{
		"issuer":                                            p.Issuer,
		"authorization_endpoint":                            base + "/authorize",
		"token_endpoint":                                    base + "/token",
		"revocation_endpoint":                               base + "/revoke",
		"jwks_uri":                                          base + "/jwks",
		"response_types_supported":                          []string{"code"},
		"subject_types_supported":                           []string{"public"},
		"scopes_supported":                                  []string{"openid", "email", "profile", "offline_access"},
		"grant_types_supported":                             []string{grantCodeFlow, grantRefreshing, GrantExchange},
		"id_token_signing_alg_values_supported":             []string{ES256, RS256},
		"token_endpoint_auth_methods_supported":             []string{AuthBasic, AuthPost, AuthPrivateKeyJWT, AuthNone},
		"token_endpoint_auth_signing_alg_values_supported":  []string{ES256, RS256},
		"code_challenge_methods_supported":                  []string{"S256"},
		"authorization_response_iss_parameter_supported":    true,
		"identity_chaining_requested_token_types_supported": []string{TypeIDJAG},
	}
	p.DPoP.announce(body)
	return p.reply(c, body)
}

func (p *IdP) jwks(c *call) *refusal {
	var set map[string]any
	if err := json.Unmarshal(p.JWKS(), &set); err != nil {
		return refuse("server_error", "publish keys: %v", err)
	}
	return p.reply(c, set)
}

// revoke is RFC 7009: the client authenticates, and an unknown token is no error.
func (p *IdP) revoke(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	client, err := p.authenticate(c, p.registered, p.Issuer, p.TokenEndpoint(), p.Clock())
	if err != nil {
		return err
	}
	value, err := c.need("token")
	if err != nil {
		return err
	}
	p.state.Lock()
	defer p.state.Unlock()
	if r := p.refreshes[value]; r != nil {
		if r.session.client != client.ID {
			return refuse("invalid_grant", "the token is another client's") // RFC 7009 section 2.1
		}
		c.entry.Person = r.session.person.Subject
		r.session.revoked = "the client revoked its refresh token"
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
