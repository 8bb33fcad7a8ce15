package mcptoken_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpauth/mcpauth/internal/cli"
	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/mcptoken"
)

var _ auth.OAuthHandler = (*mcptoken.Source)(nil)

// TestMain lets this test binary be mcpauth for the sources under test.
func TestMain(m *testing.M) {
	if os.Getenv("BE_MCPAUTH") != "" {
		os.Exit(cli.Main(context.Background(), cli.OS()))
	}
	os.Exit(m.Run())
}

// office is a home folder in which Alice of the practice company has signed in.
func office(t *testing.T) *company.Company {
	t.Helper()
	c, err := company.Start(t.Context(), company.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("BE_MCPAUTH", "1")

	run := func(stdin string, args ...string) {
		t.Helper()
		var out strings.Builder
		code := cli.Main(t.Context(), cli.Env{
			Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out, Home: home, Getenv: os.Getenv,
			Browse: func(ctx context.Context, address string) error {
				go c.SignIn(ctx, "alice", address)
				return nil
			},
		})
		if code != 0 {
			t.Fatalf("mcpauth %s: exit code %d\n%s", strings.Join(args, " "), code, out.String())
		}
	}
	secretFile := filepath.Join(home, "secret")
	if err := os.WriteFile(secretFile, []byte(c.Client().Secret.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(home, "desk.pem")
	run("", "login", "--issuer", c.IdP.Issuer, "--client-id", c.Client().ClientID, "--client-secret-file", secretFile,
		"--store", "file", "--store-key-file", filepath.Join(home, "key"))
	for _, s := range c.Servers() {
		if s.Client.KeyPEM.IsZero() {
			run(s.Client.Secret.Reveal(), "server", "add", s.Name, s.URL, "--client-id", s.Client.ClientID, "--client-secret-stdin")
			continue
		}
		if err := os.WriteFile(key, []byte(s.Client.KeyPEM.Reveal()), 0o600); err != nil {
			t.Fatal(err)
		}
		run("", "server", "add", s.Name, s.URL, "--client-id", s.Client.ClientID, "--client-key-file", key, "--client-key-id", s.Client.KeyID)
	}
	return c
}

func source(server string) *mcptoken.Source {
	return &mcptoken.Source{Server: server, Command: []string{os.Args[0]}}
}

func connect(t *testing.T, c *company.Company, s *mcptoken.Source) (*mcp.ClientSession, error) {
	t.Helper()
	server, _ := c.Server(s.Server)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: server.URL, OAuthHandler: s, MaxRetries: -1}, nil)
	if err == nil {
		t.Cleanup(func() { session.Close() })
	}
	return session, err
}

func search(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search_pages", Arguments: map[string]any{"query": "release"}})
	if err != nil || r.IsError {
		t.Fatalf("call: %v %+v", err, r)
	}
}

// The official SDK's client reaches a server, and goes on after its token was
// revoked in the middle.
func TestSDKClient(t *testing.T) {
	c := office(t)
	session, err := connect(t, c, source("wiki"))
	if err != nil {
		t.Fatal(err)
	}
	search(t, session)
	c.Docs.RevokeTokens("alice")
	search(t, session)
	if n := c.IdP.Granted(idjagtest.Exchange); n != 2 {
		t.Errorf("%d exchanges, want 2", n)
	}
}

func TestRefusal(t *testing.T) {
	c := office(t)
	var refused *mcptoken.Error
	if _, err := source("payroll").Token(); !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refused.ExitCode != 4 || refused.Code != "access_denied" || refused.Stage != "exchange" || refused.Hint == "" {
		t.Errorf("got %+v", refused)
	}
	if _, err := connect(t, c, source("payroll")); err == nil {
		t.Error("connected without a token")
	}
	if _, err := source("--help").Token(); !errors.As(err, &refused) || refused.ExitCode != 2 {
		t.Errorf("a server called --help: %v", err)
	}
	if _, err := (&mcptoken.Source{}).Token(); err == nil {
		t.Error("no server, and yet a token")
	}
	gone := &mcptoken.Source{Server: "wiki", Command: []string{filepath.Join(t.TempDir(), "gone")}}
	if _, err := gone.Token(); err == nil || errors.As(err, &refused) && refused.ExitCode == 0 {
		t.Errorf("a program that is not there: %v", err)
	}
}

// All callers of one source share one process and one token.
func TestManyCallers(t *testing.T) {
	c := office(t)
	s := source("wiki")
	var wg sync.WaitGroup
	tokens := make([]string, 50)
	for i := range tokens {
		wg.Go(func() {
			tok, err := s.Token()
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i] = tok.AccessToken
		})
	}
	wg.Wait()
	if slices.Sort(tokens); tokens[0] == "" || tokens[0] != tokens[len(tokens)-1] {
		t.Error("callers got different tokens")
	}
	if n := c.IdP.Count(idjagtest.Exchange); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
}

// challenge is a 403 that asks for a scope.
func challenge(scope string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusForbidden,
		Header:     http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", scope="` + scope + `"`}},
		Body:       io.NopCloser(strings.NewReader("")),
	}
}

func TestStepUp(t *testing.T) {
	c := office(t)
	s := source("tickets")
	s.Scopes, s.MaxScopes = []string{"tickets:read"}, []string{"tickets:write"}
	tok, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Header: http.Header{"Authorization": {"Bearer " + tok.AccessToken}}}
	if err := s.Authorize(t.Context(), req, challenge("tickets:admin")); err == nil {
		t.Error("a scope beyond MaxScopes was asked for")
	}
	if err := s.Authorize(t.Context(), req, challenge("tickets:write")); err != nil {
		t.Fatal(err)
	}
	wide, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	known, _ := c.Desk.Lookup(wide.AccessToken)
	if got := strings.Join(known.Scopes, " "); got != "tickets:read tickets:write" {
		t.Errorf("scopes %q", got)
	}
	// The grant does not grow any more: asking again is a loop.
	if err := s.Authorize(t.Context(), req, challenge("tickets:write")); err == nil {
		t.Error("the loop was not stopped")
	}
}

// A scope that the company does not grant is no reason to lose what it does.
func TestStepUpDenied(t *testing.T) {
	c := office(t)
	now := time.Now()
	s := source("tickets")
	s.Scopes, s.MaxScopes = []string{"tickets:read"}, []string{"tickets:write"}
	s.Now = func() time.Time { return now }
	tok, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Header: http.Header{"Authorization": {"Bearer " + tok.AccessToken}}}
	c.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"})
	if err := s.Authorize(t.Context(), req, challenge("tickets:write")); err == nil {
		t.Fatal("granted")
	}
	c.IdP.ClearFaults()
	now = tok.Expiry // as this source sees it: the next call runs mcpauth
	if tok, err = s.Token(); err != nil {
		t.Fatalf("after a step-up that was denied: %v", err)
	}
	if known, _ := c.Desk.Lookup(tok.AccessToken); strings.Join(known.Scopes, " ") != "tickets:read" {
		t.Errorf("the denied scope was asked for again: %q", known.Scopes)
	}
	// What is granted already needs no further token.
	before := len(c.IdP.Requests())
	req.Header.Set("Authorization", "Bearer "+tok.AccessToken)
	if err := s.Authorize(t.Context(), req, challenge("")); err == nil || len(c.IdP.Requests()) != before {
		t.Errorf("%v, after %d requests", err, len(c.IdP.Requests())-before)
	}
}

// A server that accepts no token must not have one issued for every request.
func TestRefusedForEver(t *testing.T) {
	c := office(t)
	now := time.Now()
	s := source("tickets")
	s.Now = func() time.Time { return now }
	refused := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody}
	authorize := func() error {
		tok, err := s.Token()
		if err != nil {
			t.Fatal(err)
		}
		return s.Authorize(t.Context(), &http.Request{Header: http.Header{"Authorization": {"Bearer " + tok.AccessToken}}}, refused)
	}
	if err := authorize(); err != nil {
		t.Fatal(err)
	}
	before := len(c.Desk.Requests())
	for range 3 {
		if err := authorize(); err == nil {
			t.Error("a new token was refused, and yet another one was got")
		}
	}
	if n := len(c.Desk.Requests()); n != before {
		t.Errorf("%d requests", n-before)
	}
	now = now.Add(time.Minute)
	if err := authorize(); err != nil {
		t.Errorf("after a minute: %v", err)
	}
	now = slept(t, now, time.Minute)
	if err := authorize(); err != nil {
		t.Errorf("after a minute asleep: %v", err)
	}
}

// slept is the time after a laptop has slept: the monotonic reading of a time that
// is not stripped of it stood still meanwhile.
func slept(t testing.TB, before time.Time, d time.Duration) time.Time {
	t.Helper()
	after := before
	*(*uint64)(unsafe.Pointer(&after)) += uint64(d/time.Second) << 30 // the wall clock's seconds
	if after.Sub(before) != 0 || after.Round(0).Sub(before.Round(0)) != d {
		t.Fatal("package time keeps its readings in another way now")
	}
	return after
}
