// Package wire is the one way out: every HTTP request of the program leaves
// through it. It stands below all stages and knows none of them.
//
// It holds the table of which secret may go where (S6), guards the addresses
// that metadata learnt from the network may reach (S8), follows no redirect that
// matters (S9), and bounds every answer in size and time (S25).
//
//	n, err := wire.New(wire.Options{})
//	n.Configured("https://acme.okta.example")
//	n.Permit(wire.SubjectToken, idToken, wire.Endpoint("https://acme.okta.example/token"))
//	exchange := idjag.Client{HTTP: n.Client()}
//
// What it does not see: the JSON that goes out over Streaming, and what a program
// that was handed a secret does with it elsewhere.
package wire

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// Options are what New needs to know. The zero value is ready for use.
type Options struct {
	CAFile    string                                // PEM certificates trusted besides the system's (S33)
	UserAgent string                                // "" means "mcpauth"
	Log       *slog.Logger                          // nil means none; gets host, path and status, never more
	Proxy     func(*http.Request) (*url.URL, error) // nil means http.ProxyFromEnvironment
	Resolver  *net.Resolver                         // nil means net.DefaultResolver

	ConnectTimeout time.Duration // one TCP connection; 0 means 5 s
	TLSTimeout     time.Duration // one TLS handshake; 0 means 5 s
	HeaderTimeout  time.Duration // from request sent to response headers; 0 means 10 s
	Timeout        time.Duration // a request with its redirects and its body; 0 means 15 s
	MaxBody        int64         // bytes of a response after decompression; 0 means 1 MiB

	beforeConnect func(address string) error // tests see, and stop, what passed the guard
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.ConnectTimeout, 5 * time.Second},
		{&o.TLSTimeout, 5 * time.Second},
		{&o.HeaderTimeout, 10 * time.Second},
		{&o.Timeout, 15 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.UserAgent == "" {
		o.UserAgent = "mcpauth"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	return o
}

// Net is the program's one network. It is safe for concurrent use.
type Net struct {
	opt       Options
	roots     *roots
	protocols *http.Protocols
	table     table
	pools     [reaches]*http.Transport

	streams [reaches]*http.Transport // of Streaming
	early   early

	mu      sync.Mutex
	servers map[string]class // configured hosts, and where they were found to be
}

// New returns a Net. It costs next to nothing until the first request.
func New(opt Options) (*Net, error) {
	var extra []byte
	if opt.CAFile != "" {
		pem, err := os.ReadFile(opt.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if !hasCertificate(pem) {
			return nil, fmt.Errorf("read CA file %q: it holds no PEM certificate", opt.CAFile)
		}
		extra = pem
	}
	n := &Net{opt: opt.withDefaults(), roots: newRoots(extra), protocols: spoken(os.Getenv("GODEBUG")), servers: map[string]class{}}
	for r := range n.pools {
		n.pools[r], n.streams[r] = n.pool(reach(r)), n.stream(reach(r))
	}
	return n, nil
}

// Client returns the HTTP client. A copy of it stays under the table, the guard
// and the redirect rules, since all of them sit in its transport.
func (n *Net) Client() *http.Client {
	return &http.Client{
		Transport:     &transport{net: n, pools: &n.pools, maxBody: n.opt.MaxBody},
		CheckRedirect: checkRedirect,
		Timeout:       n.opt.Timeout,
	}
}

// CloseIdle closes connections that nobody uses.
func (n *Net) CloseIdle() {
	for r := range n.pools {
		n.pools[r].CloseIdleConnections()
		n.streams[r].CloseIdleConnections()
	}
}
