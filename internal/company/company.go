// Package company is Acme, a practice company on loopback: an identity provider
// with a sign-in page, two authorization servers, and three MCP servers with
// tools behind them. A supplier, Globex, has a server that Acme does not manage.
// mcpauth-demo shows the whole flow against it, and tests use it as the nearest
// thing to the real world that needs no network.
//
//	identity provider ── one sign-in, policy by group
//	docs   AS (client_secret_basic) ── wiki
//	desk   AS (private_key_jwt)     ── tickets, payroll
//	Globex AS (metadata documents)  ── tracker, after a person's own consent
//
// The three OAuth parties are those of pkg/idjagtest, so they are strict; the
// MCP servers are the official SDK's.
package company

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Options change what Start does. The zero value is ready to use.
type Options struct {
	// BasePort is the first of eight ports in a row; 0 takes whatever is free.
	BasePort int
	// AutoApprove signs people in without showing the page: whom login_hint
	// names, or Alice. At Globex they agree to everything.
	AutoApprove bool
	// ByDocument has the desk know mcpauth by the metadata document at DocumentURL,
	// which is to be published, instead of by a registration (EMA section 5).
	ByDocument bool
	// Now is the clock of the OAuth parties; nil means time.Now.
	Now func() time.Time
}

// Company is a running practice company.
type Company struct {
	// The OAuth parties, for their records, faults and quirks.
	IdP  *idjagtest.IdP
	Docs *idjagtest.AS // of wiki
	Desk *idjagtest.AS // of tickets and payroll
	// Globex is the authorization server of tracker. It asks people for consent,
	// knows nothing of ID-JAGs, and takes any client that has a document at a host
	// it trusts.
	Globex *idjagtest.AS

	idpClient  idjagtest.Client
	docsClient idjagtest.Client
	deskClient idjagtest.Client
	servers    []*server // the managed ones, then tracker

	mu        sync.Mutex
	calls     []Event
	published map[string][]byte // documents by URL
	stop      func() bool
}

// Registration is what a client knows about itself at one party.
type Registration struct {
	ClientID string
	Method   string      // as in token_endpoint_auth_methods_supported
	Secret   secret.Text // for client_secret_basic
	KeyPEM   secret.Text // for private_key_jwt: PKCS #8
	KeyID    string      // the kid that goes with KeyPEM
}

// Server describes one MCP server for a client's configuration.
type Server struct {
	Name   string
	URL    string // also its RFC 9728 identifier
	Issuer string // of its authorization server
	Client Registration
	Scopes []string
	Tools  []string

	Managed bool // by Acme's identity provider; else each person agrees
}

// Start opens the company. It closes when ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Company, error) {
	party := func(offset int) idjagtest.Party { return idjagtest.Party{Now: o.Now, Addr: o.addr(offset)} }
	c := &Company{
		IdP:  &idjagtest.IdP{Party: party(0), AutoApprove: o.AutoApprove, ChoosePerson: true, Page: signInPage("Acme")},
		Docs: &idjagtest.AS{Party: party(1)},
		Desk: &idjagtest.AS{Party: party(2)},
		Globex: &idjagtest.AS{Party: party(6), AutoApprove: o.AutoApprove, ChoosePerson: true, Page: signInPage("Globex"), AgreePage: agreePage("Globex"),
			Consent: true, OfflineAccess: true, NoIDJAG: true},
		idpClient:  idjagtest.Client{ID: "mcpauth", Secret: newSecret(), RedirectURIs: redirectURIs()},
		docsClient: idjagtest.Client{ID: "mcpauth-docs", Secret: newSecret()},
		deskClient: idjagtest.Client{ID: "mcpauth-desk", Method: idjagtest.AuthPrivateKeyJWT},
	}
	c.Globex.CIMD = c.trust()
	if o.ByDocument {
		c.Desk.CIMD = c.trust()
		c.deskClient.ID = DocumentURL
	}
	if err := c.open(o); err != nil {
		c.Close()
		return nil, fmt.Errorf("start practice company: %w", err)
	}
	c.mu.Lock()
	c.stop = context.AfterFunc(ctx, c.Close)
	c.mu.Unlock()
	return c, nil
}

func (o Options) addr(offset int) string {
	if o.BasePort == 0 {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(o.BasePort+offset))
}

// redirectURIs may be used at any port (RFC 8252 section 7.3).
func redirectURIs() []string {
	return []string{"http://127.0.0.1/callback", "http://[::1]/callback"}
}

func (c *Company) open(o Options) error {
	for _, party := range []interface{ Start() error }{c.IdP, c.Docs, c.Desk, c.Globex} {
		if err := party.Start(); err != nil {
			return err
		}
	}
	c.IdP.AddClient(c.idpClient)
	c.Docs.AddClient(c.docsClient)
	if !o.ByDocument {
		key, err := idjagtest.NewKey(idjagtest.ES256)
		if err != nil {
			return err
		}
		c.deskClient.Key = key
		c.Desk.AddClient(c.deskClient)
	}
	c.Docs.TrustIdP(c.IdP)
	c.Desk.TrustIdP(c.IdP)
	for _, who := range staff() {
		c.IdP.AddPerson(who)
		who.Groups = nil
		c.Globex.AddPerson(who) // who has an account there as well
	}
	ports := []int{3, 4, 5, 7}
	for i, s := range append(c.catalogue(), c.tracker()) {
		if err := s.start(c, o.addr(ports[i])); err != nil {
			return err
		}
		c.servers = append(c.servers, s)
		s.as.AddResource(s.url, s.scopes...)
		if !s.managed() {
			continue
		}
		c.IdP.AddConnection(idjagtest.Connection{Audience: s.as.Issuer, Resource: s.url, ClientID: s.client.ID,
			Scopes: s.scopes, Groups: s.groups})
	}
	return nil
}

// Close ends everything. It may be called more than once.
func (c *Company) Close() {
	c.mu.Lock()
	stop := c.stop
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	for _, s := range c.servers {
		s.http.Close()
	}
	c.Globex.Close()
	c.Desk.Close()
	c.Docs.Close()
	c.IdP.Close()
}

// staff are the people of the company.
func staff() []idjagtest.Person {
	return []idjagtest.Person{
		{Subject: "alice", Name: "Alice Arden", Email: "alice@acme.example", Groups: []string{"engineering"}},
		{Subject: "bob", Name: "Bob Byrne", Email: "bob@acme.example", Groups: []string{"finance"}},
	}
}

// Client is mcpauth's registration at the identity provider.
func (c *Company) Client() Registration { return registration(c.idpClient) }

// Servers lists the MCP servers that Acme manages.
func (c *Company) Servers() []Server {
	var list []Server
	for _, s := range c.servers {
		if s.managed() {
			list = append(list, s.describe())
		}
	}
	return list
}

// Server returns the MCP server of that name, managed or not; ok is false when
// there is none.
func (c *Company) Server(name string) (_ Server, ok bool) {
	for _, s := range c.servers {
		if s.name == name {
			return s.describe(), true
		}
	}
	return Server{}, false
}

// RevokePerson has somebody leave the company: "alice" or "bob". Access tokens
// that were issued before live on until they expire, as in the real world.
func (c *Company) RevokePerson(subject string) { c.IdP.RevokePerson(subject) }

// SignIn plays the person ("alice" or "bob") in front of the browser: it opens
// the authorization URL, fills the page, agrees where a second one asks for
// consent, and visits the callback.
func (c *Company) SignIn(ctx context.Context, person, authorizeURL string) (callbackURL string, err error) {
	return idjagtest.Browser{Name: person}.SignIn(ctx, authorizeURL)
}

// Decline plays a person who signs in, but does not agree on the consent page.
func (c *Company) Decline(ctx context.Context, person, authorizeURL string) (callbackURL string, err error) {
	return idjagtest.Browser{Name: person, Decline: true}.SignIn(ctx, authorizeURL)
}

func registration(client idjagtest.Client) Registration {
	r := Registration{ClientID: client.ID, Method: client.Method, Secret: secret.New(client.Secret)}
	if r.Method == "" {
		r.Method = idjagtest.AuthBasic
	}
	if client.Key != nil {
		r.KeyPEM, r.KeyID = secret.New(string(client.Key.PEM())), client.Key.ID
	}
	return r
}
