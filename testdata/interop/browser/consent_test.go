package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

// authority is an authorization server at which people agree by themselves.
type authority interface {
	// protect opens the MCP server for its tokens.
	protect(*mcpServer)
	// happened counts since the last call.
	happened(*testing.T) tally
}

// tally counts what an authorization server did.
type tally struct {
	Registered, Codes, Renewals, Refused int

	Documents bool // it read the client's metadata document
}

// TestConsent is the standard flow of MCP, for the server of an owner who has
// never heard of this company: sign in and agree in Chromium, call, renew, be
// robbed, agree again, and take it all back.
func TestConsent(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *mcpServer, *document) authority{
		"oidc-provider": startStandard,
		"idjagtest":     startFake,
	} {
		t.Run(name+" registers the client", func(t *testing.T) {
			t.Parallel()
			l := newConsenter(t, "")
			consentAndUse(t, l, start, nil)
		})
		t.Run(name+" reads a metadata document", func(t *testing.T) {
			t.Parallel()
			d := publish(t)
			l := newConsenter(t, d.URL)
			d.write(t, l)
			consentAndUse(t, l, start, d)
		})
	}
}

func consentAndUse(t *testing.T, l *laptop.Laptop, start func(*testing.T, *mcpServer, *document) authority, d *document) {
	server := startMCPServer(t)
	as := start(t, server, d)
	as.protect(server)
	row := newRow(t)

	row.step("consent")
	l.Want(t, 0, "server", "add", "wiki", server.Resource, "--mode", "oauth")
	wantLogin(t, l, "token", "wiki")
	page := agree(t, l, strings.ReplaceAll(t.Name(), "/", "-")+"-")
	for _, want := range []string{server.Resource, readScope, clientName(d)} {
		if !strings.Contains(page.Consent, want) {
			t.Errorf("the consent page does not name %q:\n%s", want, page.Consent)
		}
	}
	did := as.happened(t)
	if want := (tally{Registered: unless(d), Codes: 1, Documents: d != nil}); did != want {
		t.Errorf("the first consent made the authorization server do %+v, want %+v", did, want)
	}

	row.step("calls")
	first := token(t, l)
	useToken(t, server.Resource, first)
	if token(t, l) != first {
		t.Error("the second call returns another token")
	}
	if status := l.Want(t, 0, "status").Stdout; !strings.Contains(status, "oauth") {
		t.Errorf("status does not name the mode:\n%s", status)
	}
	wantTally(t, as, tally{})

	row.step("renewal")
	robbed := l.Copy(t)
	last := first
	for range 2 {
		next := token(t, l, "--fresh")
		if next == last {
			t.Error("a renewal brings the same token")
		}
		useToken(t, server.Resource, next)
		last = next
	}
	wantTally(t, as, tally{Renewals: 2})

	// Whoever shows a refresh token that was used before may be the thief, or the
	// person may be: the grant ends for both (RFC 9700 section 4.14.2).
	row.step("theft")
	wantLogin(t, robbed, "token", "wiki", "--fresh")
	wantTally(t, as, tally{Refused: 1})
	wantDead(t, server.Resource, last)
	wantLogin(t, l, "token", "wiki", "--fresh")
	wantTally(t, as, tally{Refused: 1})
	wantLogin(t, l, "token", "wiki", "--fresh") // by itself: there is nothing to ask with
	wantTally(t, as, tally{})

	row.step("consent again")
	agree(t, l, "")
	last = token(t, l)
	useToken(t, server.Resource, last)
	if did := as.happened(t); did.Registered != 0 || did.Codes != 1 {
		t.Errorf("the second consent made the authorization server do %+v, want a code and no registration", did)
	}

	row.step("sign-out")
	backup := l.Copy(t)
	if said := l.Want(t, 0, "logout", "wiki").Stderr; !strings.Contains(said, "took back") {
		t.Errorf("logout says %q", said)
	}
	wantDead(t, server.Resource, last)
	wantLogin(t, l, "token", "wiki")
	wantTally(t, as, tally{})
	wantLogin(t, backup, "token", "wiki", "--fresh")
	wantTally(t, as, tally{Refused: 1})
}

// newConsenter is a laptop without an identity provider. documentURL is that of
// the company's metadata document, empty if the company has none.
func newConsenter(t *testing.T, documentURL string) *laptop.Laptop {
	t.Helper()
	l := laptop.New(t)
	client := ""
	if documentURL != "" {
		client = fmt.Sprintf(`"client": { "metadataUrl": %q, "clientAuth": { "method": "private_key_jwt", "key": "acme" } },`, documentURL)
	}
	l.Config(t, fmt.Sprintf(`{ %s "store": { "kind": "file", "keyFile": %q } }`, client, l.Path("key")))
	return l
}

// agree has Chromium go through sign-in and consent. From then on a browser is an
// error.
func agree(t *testing.T, l *laptop.Laptop, screens string) laptop.Page {
	t.Helper()
	seen := l.Browse(t, signInVerb)
	l.Want(t, 0, "login", "wiki")
	page := seen()
	l.Browser = ""
	if screens != "" {
		keepScreens(t, screens, page)
	}
	return page
}

// wantLogin runs a command that cannot go on without the person.
func wantLogin(t *testing.T, l *laptop.Laptop, args ...string) {
	t.Helper()
	r := l.Want(t, 3, args...)
	if r.Stdout != "" || !strings.Contains(r.Stderr, "hint: mcpauth login wiki") {
		t.Errorf("mcpauth %s puts %d bytes on stdout, and says %q", strings.Join(args, " "), len(r.Stdout), r.Stderr)
	}
}

// wantDead shows the token to the MCP server, which must not take it any more.
func wantDead(t *testing.T, resource, token string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, resource, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := bearer(token).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the MCP server answers %s to a token that is over", resp.Status)
	}
}

func wantTally(t *testing.T, as authority, want tally) {
	t.Helper()
	did := as.happened(t)
	did.Documents = false // how often they are read again is the server's business
	if did != want {
		t.Errorf("the authorization server did %+v, want %+v", did, want)
	}
}

func clientName(d *document) string {
	if d == nil {
		return "mcpauth"
	}
	return d.URL
}

func unless(d *document) int {
	if d == nil {
		return 1
	}
	return 0
}
