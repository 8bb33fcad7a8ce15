package clients

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// office is the practice company and the computer of Alice, who has signed in
// and named the wiki. Every scenario has one to itself.
type office struct {
	*company.Company
	wiki company.Server
	home string // the only folder that the client and mcpauth may find
	bin  string // comes first on PATH: mcpauth, and browsers that only take note

	mu      sync.Mutex
	outside []string // hosts beyond loopback that somebody asked the proxy for
	proxy   string
}

// open starts a company whose authorization servers are a temptation: they
// publish an authorization endpoint and register whoever asks, so that a client
// which falls back to a consent screen gets as far as the browser.
func open(t *testing.T) *office {
	t.Helper()
	c, err := company.Start(t.Context(), company.Options{AutoApprove: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	o := &office{Company: c, home: t.TempDir(), bin: t.TempDir()}
	o.wiki, _ = c.Server("wiki")
	issuer := c.Docs.Issuer
	c.Docs.SetQuirks(
		idjagtest.Member(idjagtest.Metadata, "authorization_endpoint", issuer+authorizePath),
		idjagtest.Member(idjagtest.Metadata, "registration_endpoint", issuer+registerPath),
		idjagtest.Member(idjagtest.Metadata, "response_types_supported", []string{"code"}),
		idjagtest.Member(idjagtest.Metadata, "grant_types_supported", []string{"authorization_code", idjagtest.GrantJWTBearer}),
		idjagtest.Member(idjagtest.Metadata, "code_challenge_methods_supported", []string{"S256"}))
	c.Docs.SetFault(idjagtest.Unknown, idjagtest.Fault{Status: http.StatusCreated,
		Body: idjagtest.Text(`{"client_id":"tempted","redirect_uris":["http://localhost/callback"],"token_endpoint_auth_method":"none"}`)})
	proxy := httptest.NewServer(http.HandlerFunc(o.refuse))
	t.Cleanup(proxy.Close)
	o.proxy = proxy.URL
	o.furnish(t)
	o.signIn(t)
	return o
}

const (
	authorizePath = "/authorize"
	registerPath  = "/register"
)

// refuse is the way out of the house, which is closed.
func (o *office) refuse(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outside = append(o.outside, r.Host)
	http.Error(w, "nothing leaves this machine", http.StatusForbidden)
}

// signIn signs Alice in, once, and names the wiki. The browser is this program.
func (o *office) signIn(t *testing.T) {
	t.Helper()
	idp := o.Client()
	args := []string{"login", "--issuer", o.IdP.Issuer, "--client-id", idp.ClientID,
		"--client-secret-file", o.write(t, "idp-secret", idp.Secret.Reveal()),
		"--store", "file", "--store-key-file", filepath.Join(o.home, "store.key")}
	env := o.env("BROWSER=" + os.Args[0] + " " + browseVerb)
	if r := o.run(t, env, filepath.Join(o.bin, "mcpauth"), args...); r.code != 0 {
		t.Fatalf("mcpauth login: exit %d\n%s", r.code, r.stderr)
	}
	o.must(t, "server", "add", "wiki", o.wiki.URL, "--client-id", o.wiki.Client.ClientID,
		"--client-secret-file", o.write(t, "wiki-secret", o.wiki.Client.Secret.Reveal()))
}

// rotate makes every access token so far worthless, as a restart of the
// authorization server would. The sign-in stays good.
func (o *office) rotate() { o.Docs.RevokeTokens("alice") }

// revoke takes everything from Alice, as when she leaves the company.
func (o *office) revoke() {
	o.RevokePerson("alice")
	o.Docs.RevokeTokens("alice")
}
