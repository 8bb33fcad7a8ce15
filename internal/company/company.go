// Package company is Acme, a practice company on loopback: an identity provider
// with a sign-in page, two authorization servers, and three MCP servers with
// tools behind them. mcpauth-demo shows the whole flow against it, and tests use
// it as the nearest thing to the real world that needs no network.
//
//	identity provider ── one sign-in, policy by group
//	docs  AS (client_secret_basic) ── wiki
//	desk  AS (private_key_jwt)     ── tickets, payroll
//
// The three OAuth parties are those of pkg/idjagtest, so they are strict; the
// MCP servers are the official SDK's.
package company

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Options change what Start does. The zero value is ready to use.
type Options struct {
	// BasePort is the first of six ports in a row; 0 takes whatever is free.
	BasePort int
	// AutoApprove signs people in without showing the page: whom login_hint
	// names, or Alice.
	AutoApprove bool
	// Now is the clock of the OAuth parties; nil means time.Now.
	Now func() time.Time
}

// Company is a running practice company.
type Company struct {
	// The OAuth parties, for their records, faults and quirks.
	IdP  *idjagtest.IdP
	Docs *idjagtest.AS // of wiki
	Desk *idjagtest.AS // of tickets and payroll

	idpClient  idjagtest.Client
	docsClient idjagtest.Client
	deskClient idjagtest.Client
	servers    []*server

	mu    sync.Mutex
	calls []Event
	stop  func() bool
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
}

// Start opens the company. It closes when ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Company, error) {
	party := func(offset int) idjagtest.Party { return idjagtest.Party{Now: o.Now, Addr: o.addr(offset)} }
	c := &Company{
		IdP:        &idjagtest.IdP{Party: party(0), AutoApprove: o.AutoApprove, ChoosePerson: true, Page: showSignIn},
		Docs:       &idjagtest.AS{Party: party(1)},
		Desk:       &idjagtest.AS{Party: party(2)},
		idpClient:  idjagtest.Client{ID: "mcpauth", Secret: newSecret(), RedirectURIs: redirectURIs()},
		docsClient: idjagtest.Client{ID: "mcpauth-docs", Secret: newSecret()},
		deskClient: idjagtest.Client{ID: "mcpauth-desk", Method: idjagtest.AuthPrivateKeyJWT},
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
	key, err := idjagtest.NewKey(idjagtest.ES256)
	if err != nil {
		return err
	}
	c.deskClient.Key = key
	for _, party := range []interface{ Start() error }{c.IdP, c.Docs, c.Desk} {
		if err := party.Start(); err != nil {
			return err
		}
	}
	c.IdP.AddClient(c.idpClient)
	c.Docs.AddClient(c.docsClient)
	c.Desk.AddClient(c.deskClient)
	c.Docs.TrustIdP(c.IdP)
	c.Desk.TrustIdP(c.IdP)
	for _, who := range staff() {
		c.IdP.AddPerson(who)
	}
	for i, s := range c.catalogue() {
		if err := s.start(c, o.addr(3+i)); err != nil {
			return err
		}
		c.servers = append(c.servers, s)
		s.as.AddResource(s.url, s.scopes...)
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

// Servers lists the MCP servers.
func (c *Company) Servers() []Server {
	list := make([]Server, len(c.servers))
	for i, s := range c.servers {
		list[i] = Server{Name: s.name, URL: s.url, Issuer: s.as.Issuer, Client: registration(s.client),
			Scopes: slices.Clone(s.scopes), Tools: slices.Clone(s.tools)}
	}
	return list
}

// Server returns the MCP server of that name; ok is false when there is none.
func (c *Company) Server(name string) (_ Server, ok bool) {
	for _, s := range c.Servers() {
		if s.Name == name {
			return s, true
		}
	}
	return Server{}, false
}

// RevokePerson has somebody leave the company: "alice" or "bob". Access tokens
// that were issued before live on until they expire, as in the real world.
func (c *Company) RevokePerson(subject string) { c.IdP.RevokePerson(subject) }

// SignIn plays the person ("alice" or "bob") in front of the browser: it opens
// the authorization URL, fills the page and visits the callback.
func (c *Company) SignIn(ctx context.Context, person, authorizeURL string) (callbackURL string, err error) {
	return idjagtest.Browser{Name: person}.SignIn(ctx, authorizeURL)
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
