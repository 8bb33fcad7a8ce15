package idjagtest

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Ways in which a client proves itself (RFC 7591 section 2, OpenID Connect Core
// section 9).
const (
	AuthNone          = "none"
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Client is a registration at the IdP or at an authorization server.
type Client struct {
	ID     string
	Name   string // client_name, which the AS's consent page shows
	Method string // "" means AuthBasic
	Secret string // for AuthBasic and AuthPost
	Key    *Key   // for AuthPrivateKeyJWT; the server uses the public half only

	// SecretExpires is when the secret stops working; zero means never.
	SecretExpires time.Time
	// PublicKeys are for AuthPrivateKeyJWT where Key is nil, because only the
	// client has the private half.
	PublicKeys []jose.JSONWebKey

	// AssertionAudience is the one aud accepted in a client assertion; "" accepts
	// the issuer and the token endpoint (RFC 7523 section 3).
	AssertionAudience string
	// RedirectURIs are compared exactly, except for the port of a loopback
	// literal (RFC 8252 section 7.3).
	RedirectURIs []string
	// Grants lists the grant types the client may use; empty means all that the
	// server has, except client_credentials, which has to be named.
	Grants []string
}

func (c Client) method() string {
	if c.Method == "" {
		return AuthBasic
	}
	return c.Method
}

func (s *clients) anyMayUse(grant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.byID {
		if c.mayUse(grant) {
			return true
		}
	}
	return false
}

func (c Client) publicKeys() []jose.JSONWebKey {
	if c.Key != nil {
		return []jose.JSONWebKey{c.Key.Public()}
	}
	return c.PublicKeys
}

func (c Client) mayUse(grant string) bool {
	for _, g := range c.Grants {
		if g == grant {
			return true
		}
	}
	return len(c.Grants) == 0 && grant != grantOwn
}

// clients holds the registrations of one server and the assertions it has seen.
type clients struct {
	mu   sync.Mutex
	byID map[string]Client
	seen map[string]bool // jti of client assertions, by client
}

// AddClient registers a client, or replaces the registration of the same ID.
func (s *clients) AddClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]Client{}
	}
	s.byID[c.ID] = c
}

// RemoveClient forgets a registration, as a server does that cleans up: the client
// gets invalid_client from now on.
func (s *clients) RemoveClient(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// registered finds a client that AddClient or a registration brought here.
func (s *clients) registered(_ *call, id string) (Client, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.byID[id]
	if !ok {
		return Client{}, refuse("invalid_client", "client %q is not registered here", id)
	}
	return c, nil
}

// authenticate finds out which client is calling. One request uses one method
// (RFC 6749 section 2.3), and it must be the registered one: a client that falls
// back to another has a bug that a lenient server would hide. find looks clients up.
func (s *clients) authenticate(c *call, find func(*call, string) (Client, *refusal), issuer, tokenEndpoint string, now time.Time) (Client, *refusal) {
	id, secret, methods := c.form.Get("client_id"), "", []string{}
	if header := c.r.Header.Get("Authorization"); header != "" {
		methods = append(methods, AuthBasic)
		user, password, err := basic(c)
		if err != nil {
			return Client{}, refuse("invalid_client", "Authorization header: %v", err)
		}
		if id != "" && id != user {
			return Client{}, refuse("invalid_request", "client_id %q in the body, %q in the header", id, user)
		}
		id, secret = user, password
	}
	if v := c.form.Get("client_secret"); v != "" {
		methods = append(methods, AuthPost)
		secret = v
	}
	assertion := c.form.Get("client_assertion")
	if assertion != "" || c.form.Get("client_assertion_type") != "" {
		methods = append(methods, AuthPrivateKeyJWT)
	}
	if len(methods) > 1 {
		return Client{}, refuse("invalid_request", "the client authenticates in %d ways at once: %s", len(methods), strings.Join(methods, ", "))
	}
	method := AuthNone
	if len(methods) == 1 {
		method = methods[0]
	}
	if method == AuthPrivateKeyJWT && id == "" {
		id = unverifiedIssuer(assertion) // client_id is optional there (RFC 7523 section 3)
	}
	if id == "" {
		return Client{}, refuse("invalid_client", "the request does not say which client it is from")
	}
	client, unknown := find(c, id)
	if unknown != nil {
		return Client{}, unknown
	}
	if method != client.method() {
		return Client{}, refuse("invalid_client", "client %q authenticates with %s, registered is %s", id, method, client.method())
	}
	c.entry.AuthMethod = method
	switch method {
	case AuthBasic, AuthPost:
		if client.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1 {
			return Client{}, refuse("invalid_client", "the secret of client %q is wrong", id)
		}
		if !client.SecretExpires.IsZero() && !client.SecretExpires.After(now) {
			return Client{}, refuse("invalid_client", "the secret of client %q has expired", id)
		}
	case AuthPrivateKeyJWT:
		if kind := c.form.Get("client_assertion_type"); kind != assertionType {
			return Client{}, refuse("invalid_client", "client_assertion_type is %q", kind)
		}
		if err := s.checkAssertion(client, assertion, issuer, tokenEndpoint, now); err != nil {
			return Client{}, refuse("invalid_client", "client assertion: %v", err)
		}
	}
	c.entry.Client = id
	return client, nil
}

// basic reads the Basic scheme with the form decoding of RFC 6749 section 2.3.1,
// which net/http's BasicAuth does not do.
func basic(c *call) (user, password string, err error) {
	user, password, ok := c.r.BasicAuth()
	if !ok {
		return "", "", fmt.Errorf("it is not a Basic one")
	}
	if user, err = url.QueryUnescape(user); err != nil {
		return "", "", fmt.Errorf("its client id is not form-encoded")
	}
	if password, err = url.QueryUnescape(password); err != nil {
		return "", "", fmt.Errorf("its secret is not form-encoded")
	}
	return user, password, nil
}

// checkAssertion applies RFC 7523 section 3 to a client assertion.
func (s *clients) checkAssertion(client Client, assertion, issuer, tokenEndpoint string, now time.Time) error {
	keys := client.publicKeys()
	if len(keys) == 0 {
		return fmt.Errorf("client %q has no key registered", client.ID)
	}
	t, err := verify(assertion, keys)
	if err != nil {
		return err
	}
	if t.typ != "" && !t.hasType("jwt") && !t.hasType("client-authentication+jwt") {
		return fmt.Errorf("its typ is %q", t.typ)
	}
	if t.text("iss") != client.ID || t.text("sub") != client.ID {
		return fmt.Errorf("its iss is %q and its sub %q, want both to be %q", t.text("iss"), t.text("sub"), client.ID)
	}
	aud, err := t.audience()
	if err != nil {
		return err
	}
	if client.AssertionAudience != "" && aud != client.AssertionAudience {
		return fmt.Errorf("its aud is %q, want %q", aud, client.AssertionAudience)
	}
	if client.AssertionAudience == "" && aud != issuer && aud != tokenEndpoint {
		return fmt.Errorf("its aud is %q, want %q or %q", aud, issuer, tokenEndpoint)
	}
	exp := time.Unix(t.seconds("exp"), 0)
	switch {
	case !exp.After(now):
		return fmt.Errorf("it has no exp or has expired")
	case exp.After(now.Add(time.Hour)):
		return fmt.Errorf("it is valid for over an hour")
	case time.Unix(t.seconds("iat"), 0).After(now.Add(time.Minute)):
		return fmt.Errorf("its iat is in the future")
	case t.text("jti") == "":
		return fmt.Errorf("it has no jti")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	used := client.ID + " " + t.text("jti")
	if s.seen[used] {
		return fmt.Errorf("its jti was used before")
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[used] = true
	return nil
}
