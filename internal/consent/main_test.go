package consent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// TestMain makes this test binary the other process in tests about several: it
// says that it has begun, and renews the consent of the folder that it is told.
func TestMain(m *testing.M) {
	dir := os.Getenv("MCPAUTH_CONSENT_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := renewElsewhere(dir, os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func renewElsewhere(dir, serverURL, issuer string) error {
	k, err := newKeeper(dir, serverURL)
	if err != nil {
		return err
	}
	t, err := newTarget(context.Background(), k, serverURL, issuer)
	if err != nil {
		return err
	}
	begun := sync.OnceFunc(func() { fmt.Println("begun") })
	k.Now = func() time.Time { defer begun(); return time.Now() } // the first thing that Renew does
	got, err := k.Renew(context.Background(), t, nil)
	if err == nil && got.AccessToken.IsZero() {
		return fmt.Errorf("no token and no error")
	}
	return err
}

// laptop is one person's computer, and a server outside enterprise-managed
// authorization with its authorization server.
type laptop struct {
	*idjagtest.Company
	dir string
	k   *Keeper

	mu       sync.Mutex
	warnings []string
}

func newLaptop(t testing.TB, options ...func(*idjagtest.Company)) *laptop {
	t.Helper()
	l := &laptop{Company: idjagtest.New(t, append([]func(*idjagtest.Company){idjagtest.Standard}, options...)...), dir: t.TempDir()}
	if err := vault.NewKeyFile(filepath.Join(l.dir, "key")); err != nil {
		t.Fatal(err)
	}
	l.k = l.keeper(t)
	return l
}

// keeper is what another process on the same laptop would have.
func (l *laptop) keeper(t testing.TB) *Keeper {
	t.Helper()
	k, err := newKeeper(l.dir, l.MCP.Resource)
	if err != nil {
		t.Fatal(err)
	}
	k.Now, k.State.Now = l.Now, l.Now
	k.Warn = func(text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.warnings = append(l.warnings, text)
	}
	return k
}

func newKeeper(dir, serverURL string) (*Keeper, error) {
	d := state.Open(filepath.Join(dir, "state"))
	v, err := vault.File(d, filepath.Join(dir, "key"), "")
	if err != nil {
		return nil, err
	}
	n, err := wire.New(wire.Options{})
	if err != nil {
		return nil, err
	}
	n.Configured(serverURL)
	return &Keeper{Net: n, State: d, Vault: v}, nil
}

// target is what package token would hand in, by the metadata of this moment.
func (l *laptop) target(t testing.TB) Target {
	t.Helper()
	target, err := newTarget(t.Context(), l.k, l.MCP.Resource, l.AS.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func newTarget(ctx context.Context, k *Keeper, serverURL, issuer string) (Target, error) {
	d := discover.Client{HTTP: k.Net.Client()}
	as, err := d.AuthorizationServer(wire.OnBehalfOf(ctx, serverURL), issuer)
	return Target{
		Parties: stage.Parties{Server: "wiki", Resource: serverURL, AS: issuer},
		Server:  config.Server{Name: "wiki", URL: serverURL},
		AS:      as, Scopes: []string{"read"},
	}, err
}

// browse is the person in front of the browser, who does not wait for the page.
func (l *laptop) browse(_ context.Context, address string) error {
	go l.Browser().SignIn(context.Background(), address)
	return nil
}

// noBrowser fails the test when a person is asked.
func noBrowser(t testing.TB) func(context.Context, string) error {
	return func(context.Context, string) error {
		t.Helper()
		t.Error("a browser was opened")
		return fmt.Errorf("a browser was opened")
	}
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// consented has the person agree.
func (l *laptop) consented(t testing.TB, target Target) endpoint.Token {
	t.Helper()
	token, err := l.k.Ask(bounded(t), target, l.browse)
	if err != nil {
		t.Fatalf("ask: %v; %v", err, l.Refusals())
	}
	return token
}

// works reports whether the MCP server's authorization server knows the token.
func (l *laptop) works(token endpoint.Token) bool {
	_, ok := l.AS.Lookup(token.AccessToken.Reveal())
	return ok
}

func (l *laptop) warned() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.warnings)
}

// requests of one kind to the authorization server.
func (l *laptop) requests(what string) (list []idjagtest.Request) {
	for _, r := range l.AS.Requests() {
		if r.What == what {
			list = append(list, r)
		}
	}
	return list
}

// block puts a file where the folder of the store is, so that nothing can be
// stored; unblock puts the folder back.
func (l *laptop) block() {
	store := filepath.Join(l.dir, "state", "store")
	err := os.Rename(store, store+".away")
	if err == nil {
		err = os.WriteFile(store, nil, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

func (l *laptop) unblock() {
	store := filepath.Join(l.dir, "state", "store")
	if err := os.Remove(store); err != nil {
		panic(err)
	}
	if err := os.Rename(store+".away", store); err != nil {
		panic(err)
	}
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
