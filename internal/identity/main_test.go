package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// TestMain makes this test binary the other process in tests about several: it
// renews the sign-in of the folder that it is told.
func TestMain(m *testing.M) {
	dir := os.Getenv("MCPAUTH_IDENTITY_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	p, err := newProvider(dir, os.Args[1], os.Args[2])
	if err == nil {
		p.State.Now, p.Now = time.Now, time.Now
		_, err = p.Subject(context.Background(), secret.Text{})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// laptop is one person's computer and the company that it talks to.
type laptop struct {
	*idjagtest.Company
	dir string
	p   *Provider

	mu       sync.Mutex
	warnings []string
}

// newLaptop has a file vault and a client secret in it, and nobody signed in.
func newLaptop(t testing.TB, options ...func(*idjagtest.Company)) *laptop {
	t.Helper()
	l := &laptop{Company: idjagtest.New(t, options...), dir: t.TempDir()}
	if err := vault.NewKeyFile(filepath.Join(l.dir, "key")); err != nil {
		t.Fatal(err)
	}
	l.p = l.provider(t)
	if l.IdPClient.Secret != "" {
		err := l.p.Vault.Set(t.Context(), ClientSecretItem(l.IdP.Issuer, l.IdPClient.ID), secret.New(l.IdPClient.Secret))
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// provider is what another process on the same laptop would have.
func (l *laptop) provider(t testing.TB) *Provider {
	t.Helper()
	p, err := newProvider(l.dir, l.IdP.Issuer, l.IdPClient.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.Now, p.State.Now = l.Now, l.Now
	p.Warn = func(text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.warnings = append(l.warnings, text)
	}
	return p
}

func newProvider(dir, issuer, clientID string) (*Provider, error) {
	d := state.Open(filepath.Join(dir, "state"))
	v, err := vault.File(d, filepath.Join(dir, "key"), "")
	if err != nil {
		return nil, err
	}
	n, err := wire.New(wire.Options{})
	if err != nil {
		return nil, err
	}
	n.Configured(issuer)
	return &Provider{
		IdP: config.IdP{Name: config.DefaultIdP, Issuer: issuer, IdPClientID: clientID},
		Net: n, Discover: &discover.Client{HTTP: n.Client()}, State: d, Vault: v,
	}, nil
}

// browse is the person in front of the browser, who does not wait for the page.
func (l *laptop) browse(_ context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("open %q: %w", address, err)
	}
	go l.Browser().SignIn(context.Background(), u.String())
	return nil
}

func (l *laptop) signIn(t testing.TB) state.Identity {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	id, err := l.p.SignIn(ctx, l.browse)
	if err != nil {
		t.Fatalf("sign in: %v; %v", err, l.Refusals())
	}
	return id
}

// expire moves the clock to where the ID token is no longer good enough.
func (l *laptop) expire() { l.Advance(61 * time.Minute) }

func (l *laptop) warned() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.warnings...)
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
