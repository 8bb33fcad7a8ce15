package idjagtest

import (
	"context"
	"sync"
	"time"
)

// TB is the part of testing.TB that New uses, so that this package does not
// import testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Company is one IdP, one authorization server, one MCP server and one person
// who may use it. The three share a clock that tests can move.
type Company struct {
	IdP *IdP
	AS  *AS
	MCP *MCPServer

	Person     Person
	IdPClient  Client     // the registration at the IdP, with its secret or key
	ASClient   Client     // the registration at the authorization server
	Connection Connection // the policy line that lets Person reach MCP
	CA         *CA        // set it in an option to start all three with TLS

	tb    TB
	clock sync.Mutex
	ahead time.Duration
}

// New starts a company that ends with the test. Options run before anything is
// started, to change registrations and switches; afterwards Connection's empty
// Audience, Resource, ClientID and Scopes are filled in.
//
// By default the person signs in on a page with a password, both clients use
// client_secret_basic with secrets that need form-encoding, and the redirect URI
// is http://127.0.0.1/callback or http://[::1]/callback at any port.
func New(tb TB, options ...func(*Company)) *Company {
	tb.Helper()
	c := &Company{
		IdP:    &IdP{},
		AS:     &AS{},
		MCP:    &MCPServer{Scopes: []string{"read"}},
		Person: Person{Subject: "alice-" + random(), Name: "Alice Example", Email: "alice@acme.example", Password: random(), Groups: []string{"engineering"}},
		IdPClient: Client{ID: "mcpauth-at-idp", Secret: "idp/+ %:" + random(),
			RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback"}},
		ASClient: Client{ID: "mcpauth-at-as", Secret: "as/+ %:" + random()},
		tb:       tb,
	}
	c.IdP.Now, c.AS.Now, c.MCP.Now = c.Now, c.Now, c.Now
	c.MCP.AS = c.AS
	for _, option := range options {
		option(c)
	}
	for _, client := range []*Client{&c.IdPClient, &c.ASClient} {
		if client.Method == AuthPrivateKeyJWT && client.Key == nil {
			key, err := NewKey("")
			c.must(err)
			client.Key = key
		}
	}
	c.must(c.IdP.start(c.CA))
	if c.MCP.OwnAS != c.AS {
		c.must(c.AS.start(c.CA))
	}
	c.must(c.MCP.start(c.CA))
	tb.Cleanup(func() {
		c.MCP.Close()
		c.AS.Close()
		c.IdP.Close()
	})
	c.wire()
	return c
}

// Standard is an option of New for a company whose MCP server is outside
// enterprise-managed authorization, as most are: its authorization server asks
// people for their consent, registers clients, lists offline_access and knows
// nothing of ID-JAGs. The same Person signs in at it, Company.SignIn goes the whole way, and ASClient
// is registered with the redirect URIs of IdPClient. Later options can
// change any of it; NoIDJAG = false makes a server that does both.
func Standard(c *Company) {
	c.AS.Consent, c.AS.Registration, c.AS.OfflineAccess, c.AS.NoIDJAG = true, true, true, true
	c.ASClient.RedirectURIs = c.IdPClient.RedirectURIs
}

// Legacy is an option of New for a standard company of MCP 2025-03-26: its server
// has no resource metadata, and the authorization server is at the server's origin
// (the AS is not started apart; its record is its own all the same). It publishes
// metadata there, at the root; with AS.NoMetadata set it does not.
func Legacy(c *Company) {
	Standard(c)
	c.MCP.Form, c.MCP.OwnAS = NoMetadata, c.AS
}

// wire makes the three know each other.
func (c *Company) wire() {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&c.Connection.Audience, c.AS.Issuer)
	fill(&c.Connection.Resource, c.MCP.Resource)
	fill(&c.Connection.ClientID, c.ASClient.ID)
	if c.Connection.Scopes == nil {
		c.Connection.Scopes = []string{"read", "write"}
	}
	c.IdP.AddPerson(c.Person)
	c.IdP.AddClient(c.IdPClient)
	c.IdP.AddConnection(c.Connection)
	c.AS.AddClient(c.ASClient)
	c.AS.AddPerson(c.Person)
	c.AS.AddResource(c.MCP.Resource, "read", "write")
	c.AS.TrustIdP(c.IdP)
}

func (c *Company) must(err error) {
	if err != nil {
		c.tb.Helper()
		c.tb.Fatalf("idjagtest: %v", err)
	}
}

// Now is the company's clock.
func (c *Company) Now() time.Time {
	c.clock.Lock()
	defer c.clock.Unlock()
	return time.Now().Add(c.ahead)
}

// Advance moves the company's clock; give Now to what is tested as well.
func (c *Company) Advance(d time.Duration) {
	c.clock.Lock()
	defer c.clock.Unlock()
	c.ahead += d
}

// Browser returns the person's browser. With a CA it trusts that.
func (c *Company) Browser() Browser {
	b := Browser{Name: c.Person.Email, Password: c.Person.Password}
	if c.CA != nil {
		b.HTTP = c.CA.Client()
	}
	return b
}

// SignIn signs the person in at an authorization URL, of the IdP or of the AS,
// agrees if asked, and visits the callback, whose URL it returns.
func (c *Company) SignIn(authorizeURL string) (callbackURL string, err error) {
	return c.Browser().SignIn(context.Background(), authorizeURL)
}

// Platform makes a platform whose workloads the AS trusts; the JWTs it mints have
// to be for the AS's issuer.
func (c *Company) Platform(issuer string) *Platform {
	c.tb.Helper()
	p, err := NewPlatform(issuer)
	c.must(err)
	p.Now = c.Now
	c.AS.TrustWorkload(issuer, p.Keys, "")
	return p
}

// MintIDToken signs an ID token for the person, with a live session behind it.
// mutate may be nil.
func (c *Company) MintIDToken(mutate func(header, claims map[string]any)) string {
	c.tb.Helper()
	signed, err := c.IdP.MintIDToken(c.Person.Subject, c.IdPClient.ID, mutate)
	c.must(err)
	return signed
}

// MintIDJAG signs an ID-JAG for the person and the connection, unasked. mutate
// may be nil.
func (c *Company) MintIDJAG(mutate func(header, claims map[string]any)) string {
	c.tb.Helper()
	signed, err := c.IdP.MintIDJAG(c.Person, c.Connection, mutate)
	c.must(err)
	return signed
}

// Refusals returns what any of the three refused, to print when a test fails.
func (c *Company) Refusals() []Request {
	return append(append(c.IdP.Refusals(), c.AS.Refusals()...), c.MCP.Refusals()...)
}
