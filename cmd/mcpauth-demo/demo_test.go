package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/mcpauth/mcpauth/internal/company"
)

// begin starts the company and a home folder for the demo.
func begin(t *testing.T) (*shell, *pages) {
	t.Helper()
	c, err := company.Start(t.Context(), company.Options{ByDocument: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	out := &pages{}
	return &shell{home: t.TempDir(), company: c, auto: true, screen: &screen{w: out}}, out
}

// pages is what was printed so far. It tells the first time when something was.
type pages struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	seen func()
}

func (p *pages) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(text)
	if p.seen != nil && strings.Contains(p.text.String(), p.want) {
		p.seen()
		p.seen = nil
	}
	return len(text), nil
}

func (p *pages) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestStory(t *testing.T) {
	sh, out := begin(t)
	s := &story{company: sh.company, shell: sh, screen: sh.screen, auto: true}
	if err := s.tell(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// In this order.
	rest := out.String()
	for _, want := range []string{
		"signed in as Alice Arden", "$ mcpauth keys generate acme", "$ mcpauth cimd generate", "wrote ~" + string(filepath.Separator) + "mcpauth.json",
		"ID-JAG of alice -> access token for wiki     allowed", "ID-JAG of alice -> access token for tickets  allowed",
		"refused by company policy (exit code 4)",
		"--mode oauth", "$ mcpauth login tracker", "consent of alice to tracker", "$ mcpauth token tracker", "✓ list_parcels",
		"https://contractor.test/mcpauth.json", "refused", `host "contractor.test" is`, "tracker  oauth  14 min",
		"no sign-in, no token (exit code 3)", "renewal for alice", "took back your consent to tracker",
		"Acme: 1 sign-in, 0 consents, 2 servers reached, 1 refused by policy", "Globex: 1 consent, 1 server reached",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("the story lacks %q after the rest\n%s", want, out)
		}
		rest = after
	}
	narrow(t, out.String(), sh.home)
	if strings.Contains(out.String(), sh.home) {
		t.Error("the story has the name of a folder that is gone when it is read")
	}
}

// narrow checks that the text fits into a usual terminal.
func narrow(t *testing.T, text, home string) {
	t.Helper()
	for l := range strings.Lines(text) {
		if l = strings.TrimRight(l, "\n"); utf8.RuneCountInString(strings.ReplaceAll(l, home, "/tmp/mcpauth-demo")) > 80 {
			t.Errorf("a line is wider than 80 columns: %s", l)
		}
	}
}

// Nobody shares a secret with a server that has the document.
func TestNoSecretInTheDocument(t *testing.T) {
	sh, _ := begin(t)
	s := &story{company: sh.company, shell: sh, screen: sh.screen, auto: true}
	if err := rollOut(sh.home, clientConfig); err != nil {
		t.Fatal(err)
	}
	if err := s.signIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.introduce(t.Context()); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(sh.home, "mcpauth.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{company.DocumentURL, `"private_key_jwt"`, `"Acme agents"`, `"jwks"`} {
		if !strings.Contains(string(document), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	for _, bad := range []string{"secret", `"d"`} {
		if strings.Contains(string(document), bad) {
			t.Errorf("the document has %s", bad)
		}
	}
}

// Whoever declines gets no token, and the story goes on.
func TestDeclined(t *testing.T) {
	sh, out := begin(t)
	s := &story{company: sh.company, shell: sh, screen: sh.screen, auto: true}
	if err := rollOut(sh.home, clientConfig); err != nil {
		t.Fatal(err)
	}
	for _, chapter := range []func(context.Context) error{s.signIn, s.introduce} {
		if err := chapter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.auto = false
	sh.open = func(ctx context.Context, address string) error {
		go sh.company.Decline(ctx, "alice", address)
		return nil
	}
	if err := s.consent(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(s.agreed) != 0 || !strings.Contains(out.String(), "no consent, no token") || strings.Contains(out.String(), "list_parcels") {
		t.Errorf("she declined, and the story is\n%s", out)
	}
}

func TestServe(t *testing.T) {
	sh, out := begin(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out.want, out.seen = "are not touched", stop
	if err := serve(ctx, sh.company, sh); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"mcpauth login tracker", `"tracker": { "type": "http"`, "[mcp_servers.tracker]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q", want)
		}
	}
	told := &story{company: sh.company, shell: sh, screen: sh.screen, auto: true}
	if r := told.quiet(t.Context(), "token", "tickets"); r.code != 3 {
		t.Errorf("a token before the sign-in: exit code %d\n%s", r.code, r.stderr)
	}
	if r := told.quiet(t.Context(), "login"); r.code != 0 {
		t.Fatalf("login: exit code %d\n%s", r.code, r.stderr)
	}
	for _, command := range [][]string{{"token", "tickets"}, {"login", "tracker"}, {"token", "tracker"}} {
		if r := told.quiet(t.Context(), command...); r.code != 0 {
			t.Errorf("mcpauth %v: exit code %d\n%s", command, r.code, r.stderr)
		}
	}
}
