package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// furnish fills the folder that comes first on PATH. What mcpauth is asked, and
// how it ended, goes to a file, because the clients throw it away.
func (o *office) furnish(t *testing.T) {
	t.Helper()
	real := os.Getenv("MCPAUTH_BIN")
	script := fmt.Sprintf("#!/bin/sh\n"+
		"if [ \"$1\" = bridge ]; then echo \"$*\" >>%[2]q; exec %[1]q \"$@\" 2>>%[3]q; fi\n"+
		"%[1]q \"$@\" 2>%[2]q.$$; code=$?\n"+
		"cat %[2]q.$$ >&2; { echo \"$*: exit $code\"; cat %[2]q.$$; } >>%[2]q; rm %[2]q.$$\nexit $code\n",
		real, o.helperLog(), o.bridgeLog())
	o.executable(t, "mcpauth", script)
	for _, name := range []string{"xdg-open", "open", "sensible-browser", "x-www-browser", "www-browser", "gio", "wslview",
		"firefox", "chromium", "chromium-browser", "google-chrome"} {
		o.executable(t, name, fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%q\n", name, o.browserLog()))
	}
}

func (o *office) executable(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.bin, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (o *office) helperLog() string  { return filepath.Join(o.bin, "helper.log") }
func (o *office) bridgeLog() string  { return o.helperLog() + ".bridge" }
func (o *office) browserLog() string { return filepath.Join(o.bin, "browser.log") }

// env is what a client is started with. Nothing of the developer's own gets in.
func (o *office) env(more ...string) []string {
	return append([]string{
		"HOME=" + o.home, "USER=alice", "LANG=C.UTF-8", "TERM=dumb", "TMPDIR=" + os.TempDir(),
		"PATH=" + strings.Join([]string{o.bin, filepath.Dir(os.Getenv("NODE")), "/usr/local/bin", "/usr/bin", "/bin"}, ":"),
		"BROWSER=" + filepath.Join(o.bin, "xdg-open"),
		"HTTPS_PROXY=" + o.proxy, "https_proxy=" + o.proxy, "HTTP_PROXY=" + o.proxy, "http_proxy=" + o.proxy,
		"NO_PROXY=127.0.0.1,localhost,::1", "no_proxy=127.0.0.1,localhost,::1",
	}, more...)
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) said() string { return strings.TrimSpace(r.stdout + "\n" + r.stderr) }

// err is what a program that failed said about it.
func (r result) err() error {
	if r.code == 0 {
		return nil
	}
	return errors.New(r.said())
}

// run starts a program in the home folder and waits for its end.
func (o *office) run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	return o.start(t, env, "", name, args...)
}

// feed is run with something on standard input.
func (o *office) feed(t *testing.T, stdin, name string, args ...string) result {
	t.Helper()
	return o.start(t, o.env(), stdin, name, args...)
}

func (o *office) start(t *testing.T, env []string, stdin, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = o.home, env
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s: %v", filepath.Base(name), err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s did not end by itself", filepath.Base(name))
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mcpauth runs mcpauth as Alice would in a terminal.
func (o *office) mcpauth(t *testing.T, args ...string) result {
	t.Helper()
	return o.run(t, o.env(), filepath.Join(o.bin, "mcpauth"), args...)
}

func (o *office) must(t *testing.T, args ...string) string {
	t.Helper()
	r := o.mcpauth(t, args...)
	if r.code != 0 {
		t.Fatalf("mcpauth %s: exit %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

func (o *office) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(o.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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

// holder names a file in the home folder that has a secret in clear. Clients keep
// logs and transcripts there, and mcpauth its sealed files.
func (o *office) holder(t *testing.T, secret string) (found string) {
	t.Helper()
	err := filepath.WalkDir(o.home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var content []byte
			if content, err = os.ReadFile(path); bytes.Contains(content, []byte(secret)) {
				found = path
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the client has tidied up meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// story is what the company saw, line by line.
func (o *office) story() string {
	var b strings.Builder
	for _, e := range o.Log() {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

// calls counts the tool calls that reached the wiki in Alice's name.
func (o *office) calls() (n int) {
	for _, e := range o.Log() {
		if e.Party == "wiki" && e.Allowed && strings.HasSuffix(e.What, "by alice") {
			n++
		}
	}
	return n
}

// asked counts how often the client asked mcpauth for a credential.
func (o *office) asked() (n int) {
	for line := range strings.Lines(o.read(o.helperLog())) {
		if word, _, _ := strings.Cut(line, " "); word == "headers" || word == "token" || word == "bridge" {
			n++
		}
	}
	return n
}

func (o *office) read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// consent lists the signs of a consent screen or of a second sign-in: a browser,
// or a request that a managed server's client must never send.
func (o *office) consent() (signs []string) {
	if opened := o.read(o.browserLog()); opened != "" {
		signs = append(signs, "a browser: "+strings.TrimSpace(opened))
	}
	if n := o.IdP.Count(idjagtest.Authorize); n != 1 {
		signs = append(signs, fmt.Sprintf("%d requests to sign in at the identity provider, want the one of mcpauth login", n))
	}
	for _, r := range o.Docs.Requests() {
		if r.Path == authorizePath || r.Path == registerPath {
			signs = append(signs, "the authorization server was asked for "+r.Path)
		}
	}
	return signs
}
