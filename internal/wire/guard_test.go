package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestClassOf(t *testing.T) {
	for list, want := range map[string]class{
		"1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255": public,
		"2606:4700:4700::1111 2a00:1450::1 2001:4860:4860::8888":                                        public,
		"::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 2001:0:808:808:0:0:f7f7:f7f7":                  public,
		"10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255":      private,
		"fc00::1 fd12:3456::1 ::ffff:10.0.0.1 ::ffff:192.168.1.1":                                       private,
		"127.0.0.1 127.1.2.3 127.255.255.255 ::1 ::ffff:127.0.0.1":                                      loopback,
		"0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0":                                                             never,
		"169.254.169.254 169.254.0.1 fe80::1 fe80::1%eth0 ::ffff:169.254.169.254 fd00:ec2::254":         never,
		"100.100.100.200 168.63.129.16 192.0.0.192 fd20:ce::254":                                        never,
		"224.0.0.1 239.255.255.255 ff02::1 ff0e::1":                                                     never,
		"255.255.255.255 240.0.0.1":                                                                     never,
		"192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 192.88.99.1":                      never,
		"2001:db8::1 3fff::1 2001:2::1 2001:10::1 100::1 5f00::1 fec0::1 4000::1":                       never,
		"64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1::808:808": never,
		"2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1":                                                never,
		"2001:0:808:808:0:0:80ff:fffe 2001:0:7f00:1:0:0:f7f7:f7f7 ::8.8.8.8 ::127.0.0.1":                never,
	} {
		for _, s := range strings.Fields(list) {
			if got := classOf(netip.MustParseAddr(s)); got != want {
				t.Errorf("%s is %s, want %s", s, got, want)
			}
		}
	}
	if classOf(netip.Addr{}) != never {
		t.Error("no address is not never")
	}
}

// names are what the fake resolver knows. intra is private, local is on loopback.
var names = map[string][]string{
	"public.example": {"93.184.216.34"}, "six.example": {"2606:4700::1"}, "public2.example": {"93.184.216.35"},
	"intra.example": {"10.1.2.3"}, "intra2.example": {"192.168.7.7"}, "x.intra.example": {"10.1.2.4"}, "cgnat.example": {"100.64.1.1"},
	"local.example": {"127.0.0.1"}, "local6.example": {"::1"}, "mapped.example": {"::ffff:10.0.0.1"},
	"meta.example": {"169.254.169.254"}, "zero.example": {"0.0.0.0"}, "nat64.example": {"64:ff9b::a00:1"},
	"mixed.example": {"10.1.2.3 93.184.216.34"}, "rebind.example": {"93.184.216.34", "10.1.2.3"},
}

// TestReach walks hosts, by who stands behind them (S8). want is the addresses
// that a socket was about to be connected to.
func TestReach(t *testing.T) {
	for _, tt := range []struct {
		configured, behalf, url string
		want                    string
	}{
		// Learnt from the network: public only.
		{"", "", "https://public.example/", "93.184.216.34:443"},
		{"", "", "https://public.example.:8443/", "93.184.216.34:8443"},
		{"", "", "https://six.example/", "[2606:4700::1]:443"},
		{"", "", "https://93.184.216.34/", "93.184.216.34:443"},
		{"", "", "https://intra.example/", ""},
		{"", "", "https://cgnat.example/", ""},
		{"", "", "https://mapped.example/", ""},
		{"", "", "https://nat64.example/", ""},
		{"", "", "https://local.example/", ""},
		{"", "", "https://local6.example/", ""},
		{"", "", "https://meta.example/", ""},
		{"", "", "https://zero.example/", ""},
		{"", "", "https://localhost/", ""},
		{"", "", "https://LOCALHOST./", ""},
		{"", "", "https://10.1.2.3/", ""},
		{"", "", "https://[::1]/", ""},
		{"", "", "https://[::ffff:127.0.0.1]/", ""},
		{"", "", "https://[fe80::1%25lo]/", ""},
		{"", "", "https://169.254.169.254/", ""},
		{"", "", "https://mixed.example/", "93.184.216.34:443"}, // the private address is passed over
		// Numbers that some resolvers and proxies read as addresses.
		{"", "", "https://2130706433/", ""},
		{"", "", "https://0x7f000001/", ""},
		{"", "", "https://0x7f.1/", ""},
		{"", "", "https://127.1/", ""},
		{"", "", "https://0177.0.0.1/", ""},
		{"", "", "https://public.example.1/", ""},
		{"", "", "https://１２７.0.0.1/", ""},
		{"", "", "https://p\u00fcblic.example/", ""},
		{"", "", "https://a%2fb/", ""},
		// Plain http is for loopback only.
		{"", "", "http://public.example/", ""},
		{"http://public.example/", "", "http://public.example/", ""},
		{"http://local.example/", "", "http://local.example/", ""},
		{"http://10.1.2.3/", "", "http://10.1.2.3/", ""},
		{"http://127.0.0.1:8080/mcp", "", "http://127.0.0.1:8080/mcp", "127.0.0.1:8080"},
		{"http://127.0.0.2/", "", "http://127.0.0.2/", "127.0.0.2:80"},
		{"http://[::1]:8080/", "", "http://[::1]:8080/", "[::1]:8080"},
		// Configured: anywhere but reserved addresses, and these as written down.
		{"https://intra.example/", "", "https://intra.example/x", "10.1.2.3:443"},
		{"https://INTRA.example./", "", "https://intra.example/x", "10.1.2.3:443"},
		{"https://local.example/", "", "https://local.example/", "127.0.0.1:443"},
		{"https://10.1.2.3/", "", "https://10.1.2.3/", "10.1.2.3:443"},
		{"https://meta.example/", "", "https://meta.example/", ""},
		{"https://nat64.example/", "", "https://nat64.example/", ""},
		{"https://169.254.10.10/", "", "https://169.254.10.10/", "169.254.10.10:443"},
		{"https://169.254.10.10/", "", "https://169.254.10.11/", ""},
		{"https://intra.example/", "", "https://intra2.example/", ""},
		{"https://intra.example/", "", "https://x.intra.example/", ""},
		// Named by a configured server: as far inside as that server is itself.
		{"https://intra.example/mcp", "https://intra.example/mcp", "https://intra2.example/", "192.168.7.7:443"},
		{"https://intra.example/mcp", "https://intra.example/mcp", "https://10.9.9.9/", "10.9.9.9:443"},
		{"https://intra.example/mcp", "https://intra.example/mcp", "https://public.example/", "93.184.216.34:443"},
		{"https://intra.example/mcp", "https://intra.example/mcp", "https://local.example/", ""},
		{"https://intra.example/mcp", "https://intra.example/mcp", "https://meta.example/", ""},
		{"https://intra.example/mcp", "https://public.example/mcp", "https://intra2.example/", ""}, // not configured
		{"https://public.example/mcp", "https://public.example/mcp", "https://intra.example/", ""},
		{"https://public.example/mcp", "https://public.example/mcp", "https://10.9.9.9/", ""},
		{"https://public.example/mcp", "https://public.example/mcp", "http://127.0.0.1:6379/", ""},
		{"https://mixed.example/mcp", "https://mixed.example/mcp", "https://intra.example/", ""}, // half outside
		{"https://gone.example/mcp", "https://gone.example/mcp", "https://intra.example/", ""},
		{"http://127.0.0.1:1/mcp", "http://127.0.0.1:1/mcp", "http://127.0.0.1:2/", "127.0.0.1:2"},
		{"http://127.0.0.1:1/mcp", "http://127.0.0.1:1/mcp", "http://[::1]:2/", "[::1]:2"},
		{"http://127.0.0.1:1/mcp", "http://127.0.0.1:1/mcp", "https://local.example/", "127.0.0.1:443"},
		{"http://127.0.0.1:1/mcp", "http://127.0.0.1:1/mcp", "https://intra.example/", ""},
		{"https://169.254.10.10/", "https://169.254.10.10/", "https://169.254.169.254/", ""},
	} {
		rec := &recorder{}
		n := newNet(t, Options{Resolver: fakeDNS(names), beforeConnect: rec.stop})
		n.Configured(tt.configured)
		ctx := context.Background()
		if tt.behalf != "" {
			ctx = OnBehalfOf(ctx, tt.behalf)
		}
		req, err := http.NewRequestWithContext(ctx, "GET", tt.url, nil)
		if err != nil {
			continue // net/url refuses it already
		}
		_, err = n.Client().Do(req)
		if got := strings.Join(rec.addresses(), " "); got != tt.want {
			t.Errorf("%s (configured %q, for %q) dials %q, want %q", tt.url, tt.configured, tt.behalf, got, tt.want)
		}
		if tt.want == "" && Classify(err) != Stopped {
			t.Errorf("%s: %v, want it stopped", tt.url, err)
		}
	}
}

// The check is on the address that is dialed: a name that turns private between
// two requests, or between vouching and dialing, is stopped (TOCTOU).
func TestRebinding(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(names), beforeConnect: rec.stop})
	for range 3 {
		_, err := n.Client().Get("https://rebind.example/")
		if !errors.Is(err, errStop) && Classify(err) != Stopped {
			t.Fatal(err)
		}
	}
	if got := rec.addresses(); !slices.Equal(got, []string{"93.184.216.34:443"}) {
		t.Errorf("dialed %q", got)
	}
}

// A configured server that was once found outside vouches for nothing inside,
// whatever its name resolves to later.
func TestMostPublicPlaceCounts(t *testing.T) {
	n := newNet(t, Options{Resolver: fakeDNS(names)})
	n.Configured("https://intra.example/")
	ctx := OnBehalfOf(context.Background(), "https://intra.example/mcp")
	if got := n.reachOf(ctx, "intra2.example"); got != toPrivate {
		t.Fatalf("reach %d, want private", got)
	}
	n.note("intra.example", public)
	n.note("intra.example", private)
	if got := n.reachOf(ctx, "intra2.example"); got != toPublic {
		t.Errorf("reach %d, want public", got)
	}
}

// A connection that one request was allowed to open is not there for another
// that was not.
func TestKeptConnectionIsNoWayAround(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	n := newNet(t, Options{})
	n.Configured("http://127.0.0.9:1/")
	get := func(ctx context.Context) error {
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		resp, err := n.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(OnBehalfOf(context.Background(), "http://127.0.0.9:1/")); err != nil {
		t.Fatal(err)
	}
	if err := get(context.Background()); Classify(err) != Stopped {
		t.Errorf("%v, want it stopped", err)
	}
	req, _ := http.NewRequest("GET", "https://local.example/", nil)
	if _, err := n.route(req); err != nil {
		t.Fatal(err)
	}
	if r, _ := n.route(req); r != toPublic {
		t.Error("an unvouched request got connections of another reach")
	}
}

func TestLocalhostMustBeLoopback(t *testing.T) {
	if err := judge("localhost", netip.MustParseAddr("10.0.0.1"), toAny); err == nil {
		t.Error("localhost at 10.0.0.1 was allowed")
	}
	if err := judge("localhost", netip.MustParseAddr("::1"), toAny); err != nil {
		t.Error(err)
	}
	if err := judge("localhost", netip.MustParseAddr("127.0.0.1"), toPrivate); err == nil {
		t.Error("localhost was allowed on behalf of a private server")
	}
}

// Behind a proxy only the proxy knows addresses: scheme and written-down
// addresses are judged, and nothing of ours is asked of DNS.
func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	at, _ := url.Parse(strings.Replace(proxy.URL, "http://", "http://user:canary@", 1))
	n := newNet(t, Options{Proxy: func(*http.Request) (*url.URL, error) { return at, nil }})
	for target, want := range map[string]string{
		"https://unknown.example/": "CONNECT unknown.example:443",
		"https://93.184.216.34/":   "CONNECT 93.184.216.34:443",
		"https://10.1.2.3/":        "",
		"https://169.254.169.254/": "",
		"https://[::1]/":           "",
		"https://localhost/":       "",
		"https://2130706433/":      "",
		"http://unknown.example/":  "",
		"http://127.0.0.1:1/":      "",
	} {
		asked = nil
		_, err := n.Client().Get(target)
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s: the proxy was asked %q, want %q", target, got, want)
		}
		if wantClass := map[bool]Class{true: Stopped, false: Proxy}[want == ""]; Classify(err) != wantClass {
			t.Errorf("%s: %v", target, err)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows the proxy's password: %v", err)
		}
		var refused *ProxyRefused
		if want != "" && (!errors.As(err, &refused) || !refused.WantsCredentials() || refused.Proxy != at.Host || !strings.Contains(err.Error(), "wants a name and a password")) {
			t.Errorf("%s: %v", target, err)
		}
	}
	n = newNet(t, Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("bad: http://user:canary@") }})
	if _, err := n.Client().Get("https://unknown.example/"); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	calls, rec := 0, &recorder{}
	n = newNet(t, Options{Resolver: fakeDNS(names), beforeConnect: rec.stop, Proxy: func(*http.Request) (*url.URL, error) {
		if calls++; calls == 1 {
			return at, nil
		}
		return nil, nil
	}})
	if _, err := n.Client().Get("https://intra.example/"); err == nil || len(rec.addresses()) > 0 {
		t.Errorf("a proxy that went away left an unguarded dial to %q (%v)", rec.addresses(), err)
	}
}

// Through a proxy the certificate is still the target's, and the token still its own.
func TestProxyTunnel(t *testing.T) {
	target := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is for example.com, too
	defer target.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", target.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		from, _, _ := w.(http.Hijacker).Hijack()
		from.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() { io.Copy(to, from); to.Close() }()
		io.Copy(from, to)
		from.Close()
	}))
	defer proxy.Close()
	at, _ := url.Parse(proxy.URL)
	for host, want := range map[string]Class{"example.com": None, "other.example": WrongHost} {
		n := newNet(t, Options{CAFile: caFile(t, target), Proxy: func(*http.Request) (*url.URL, error) { return at, nil }})
		n.Permit(AccessToken, secret.New("access-0123456789"), Prefix("https://"+host+"/mcp"))
		req := newRequest("GET", "https://"+host+"/mcp", "")
		req.Header.Set("Authorization", "Bearer access-0123456789")
		resp, err := n.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if got := Classify(err); got != want {
			t.Errorf("%s: %q (%v), want %q", host, got, err, want)
		}
		n.CloseIdle()
	}
}
