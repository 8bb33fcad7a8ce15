package token

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// laptop is one person's computer, signed in, and the company around it.
type laptop struct {
	*idjagtest.Company
	dir       string
	cacheable bool // let metadata be cached, which the fakes forbid

	mu       sync.Mutex
	warnings []string
}

func newLaptop(t testing.TB, options ...func(*idjagtest.Company)) *laptop {
	t.Helper()
	l := &laptop{Company: idjagtest.New(t, options...), dir: t.TempDir()}
	if err := vault.NewKeyFile(filepath.Join(l.dir, "key")); err != nil {
		t.Fatal(err)
	}
	s := l.source(t)
	for name, value := range map[string]string{
		identity.ClientSecretItem(l.IdP.Issuer, l.IdPClient.ID): l.IdPClient.Secret,
		identity.ClientSecretItem(l.AS.Issuer, l.ASClient.ID):   l.ASClient.Secret,
	} {
		if err := s.Vault.Set(t.Context(), name, secret.New(value)); err != nil {
			t.Fatal(err)
		}
	}
	l.signIn(t, l.Person.Subject)
	l.forget()
	return l
}

// source is what another process on this laptop would have.
func (l *laptop) source(t testing.TB) *Source {
	t.Helper()
	d := state.Open(filepath.Join(l.dir, "state"))
	d.Now = l.Now
	v, err := vault.File(d, filepath.Join(l.dir, "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	n, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.Configured(l.IdP.Issuer)
	n.Configured(l.MCP.URL())
	c := &discover.Client{HTTP: n.Client(), Cache: MetadataCache{State: d, Now: l.Now}, Now: l.Now}
	if l.cacheable {
		client := *c.HTTP
		client.Transport = cacheable{client.Transport}
		c.HTTP = &client
	}
	warn := func(text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.warnings = append(l.warnings, text)
	}
	return &Source{
		Server: config.Server{Name: "wiki", URL: l.MCP.URL(), OAuth: config.OAuth{ASClientID: l.ASClient.ID}},
		Provider: &identity.Provider{
			IdP: config.IdP{Name: config.DefaultIdP, Issuer: l.IdP.Issuer, IdPClientID: l.IdPClient.ID},
			Net: n, Discover: c, State: d, Vault: v, Now: l.Now, Warn: warn,
		},
		Net: n, Discover: c, State: d, Vault: v, Now: l.Now, Warn: warn,
	}
}

// cacheable takes back that an answer may not be stored.
type cacheable struct{ next http.RoundTripper }

func (c cacheable) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		resp.Header.Del("Cache-Control")
	}
	return resp, err
}

// signIn imports an ID token, which asks for no browser.
func (l *laptop) signIn(t testing.TB, subject string) {
	t.Helper()
	raw, err := l.IdP.MintIDToken(subject, l.IdPClient.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.source(t).Provider.Import(t.Context(), secret.New(raw), false); err != nil {
		t.Fatal(err)
	}
}

// forget starts counting afresh, with no metadata known.
func (l *laptop) forget() {
	os.RemoveAll(filepath.Join(l.dir, "state", "metadata"))
	for _, p := range []interface{ ForgetRequests() }{l.IdP, l.AS, l.MCP} {
		p.ForgetRequests()
	}
}

func (l *laptop) requests() []idjagtest.Request {
	return slices.Concat(l.IdP.Requests(), l.AS.Requests(), l.MCP.Requests())
}

func (l *laptop) get(t testing.TB, s *Source, a Ask) (Token, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return s.Get(ctx, a)
}

func (l *laptop) mustGet(t testing.TB, s *Source, a Ask) Token {
	t.Helper()
	tok, err := l.get(t, s, a)
	if err != nil {
		t.Fatalf("%v; %v", err, l.Refusals())
	}
	if _, ok := l.AS.Lookup(tok.AccessToken.Reveal()); !ok {
		t.Fatal("the token is not one of the authorization server's")
	}
	return tok
}

func (l *laptop) sealedFiles(t testing.TB) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.dir, "state", "sealed", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// record is what is known of the server, in a state that can be read.
func (s *Source) record() state.Server {
	r, err := s.known()
	if err != nil {
		panic(err)
	}
	return r
}

// trouble keeps the state from being read, without being what is wrong with it: a
// plain file is where its folder was.
func (l *laptop) trouble(t testing.TB) (over func()) {
	t.Helper()
	folder := filepath.Join(l.dir, "state")
	err := os.Rename(folder, folder+" kept")
	if err == nil {
		err = os.WriteFile(folder, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "state.json")); errors.Is(err, os.ErrNotExist) {
		t.Skip("to this system it is only not there")
	}
	return func() {
		if err := errors.Join(os.Remove(folder), os.Rename(folder+" kept", folder)); err != nil {
			t.Fatal(err)
		}
	}
}
