package resilience

import (
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// tunnel is a company's proxy, which alone knows where its servers are, and lets
// people through who have a name and a password.
type tunnel struct {
	*httptest.Server
	credentials string            // as they stand in a URL
	to          map[string]string // addresses by host and port
	refused     atomic.Int32
}

func newTunnel(t testing.TB, credentials string, to map[string]string) *tunnel {
	p := &tunnel{credentials: credentials, to: to}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.CloseClientConnections)
	return p
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.credentials)) {
		p.refused.Add(1)
		w.Header().Set("Proxy-Authenticate", `Basic realm="your password was `+p.credentials+`"`)
		http.Error(w, "your password was "+p.credentials, http.StatusProxyAuthRequired)
		return
	}
	to, err := net.Dial("tcp", p.to[r.Host])
	if r.Method != http.MethodConnect || err != nil {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(to, from); to.Close() }()
	_, _ = io.Copy(from, to)
	from.Close()
}

// with is how a process is told of the proxy.
func (p *tunnel) with(credentials string) string {
	address := strings.TrimPrefix(p.URL, "http://")
	if credentials != "" {
		address = credentials + "@" + address
	}
	return "HTTPS_PROXY=http://" + address
}

// A proxy that wants a name and a password, or other ones, says so by 407. It is said
// in plain words what to type, nobody's password stands there or anywhere else, and a
// good token is served.
func TestFaultsProxyWantsCredentials(t *testing.T) {
	const right, wrong = "worker:canary-0d2f", "worker:canary-91ab"
	ca := newAuthority(t)
	to := map[string]string{}
	l := newLaptop(t, 1, func(c *idjagtest.Company) {
		for name, h := range map[string]http.Handler{"idp": c.IdP, "as": c.AS, "wiki": c.MCP} {
			host := name + ".acme.example"
			cert := ca.leaf(func(c *x509.Certificate) { c.DNSNames = []string{host} })
			to[host+":443"] = strings.TrimPrefix(newBetween(t, h, cert).URL, "https://")
		}
		c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = "https://idp.acme.example", "https://as.acme.example", "https://wiki.acme.example/mcp"
	})
	authority := l.write("ca.pem", ca.pem())
	l.configure(map[string]any{"kind": "file", "keyFile": filepath.Join(l.home, "key")}, authority)
	proxy := newTunnel(t, right, to)
	env := append(l.env, "SSL_CERT_FILE="+authority) // for the browser
	l.env = append(slices.Clone(env), proxy.with(right))
	l.signIn(false)
	good := l.token("s0") + "\n"
	for _, credentials := range []string{"", wrong} {
		l.env = append(slices.Clone(env), proxy.with(credentials))
		for _, args := range [][]string{
			{"token", "s0", "--fresh"}, {"token", "s0", "--fresh", "--verbose"}, {"token", "s0", "--fresh", "--json"}, {"headers", "s0", "--fresh"},
			{"login", "--timeout", "20s"}, {"explain", "s0"},
		} {
			before := proxy.refused.Load()
			d := l.try(args...)
			asks := "HTTPS_PROXY=http://NAME:PASSWORD@" + strings.TrimPrefix(proxy.URL, "http://") + " mcpauth"
			if d.exit != 6 || d.out != "" && args[0] != "explain" || !strings.Contains(d.err, "it wants a name and a password") || !strings.Contains(d.err, asks) {
				t.Errorf("%q, %q: %v", credentials, args, d)
			}
			if strings.Contains(d.out+d.err, "canary") {
				t.Errorf("%q, %q: a password is shown: %v", credentials, args, d)
			}
			if proxy.refused.Load() == before {
				t.Errorf("%q, %q: the proxy was not asked", credentials, args)
			}
		}
		for _, args := range [][]string{{"token", "s0"}, {"status", "--verbose"}, {"status", "--json"}} {
			if d := l.try(args...); d.exit != 0 || args[0] == "token" && d.out != good || d.err != "" || strings.Contains(d.out, "canary") {
				t.Errorf("%q, %q: %v %s", credentials, args, d, d.out)
			}
		}
	}
	l.env = append(slices.Clone(env), proxy.with(right))
	if d := l.try("token", "s0", "--fresh"); !l.issued(d) || d.err != "" {
		t.Errorf("with the right ones: %v", d)
	}
	for _, path := range kept(t, l.state()) { // the last failure is noted there
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "canary") || strings.Contains(string(text), url.QueryEscape(right)) {
			t.Errorf("a password stands in %s", path)
		}
	}
}

// kept are the files of a folder.
func kept(t *testing.T, folder string) (paths []string) {
	t.Helper()
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}
