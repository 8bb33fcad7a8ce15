package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// transport is what every request passes, in this order: the table, the
// redirect rules, the guard, and then a pool of connections.
type transport struct {
	net     *Net
	pools   *[reaches]*http.Transport
	maxBody int64 // of an answer; 0 means no bound
	stream  bool  // bodies of requests may have no end
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	log := t.net.opt.Log
	if !log.Enabled(req.Context(), slog.LevelDebug) {
		return t.roundTrip(req)
	}
	start := time.Now()
	resp, err := t.roundTrip(req)
	log = log.With("method", req.Method, "duration", time.Since(start))
	if err != nil {
		log.DebugContext(req.Context(), "request failed", "host", req.URL.Host, "class", Explain(err))
		return nil, err
	}
	log.DebugContext(req.Context(), "request", "host", req.URL.Host, slog.String("path", req.URL.EscapedPath()), "status", resp.StatusCode)
	return resp, nil
}

func (t *transport) roundTrip(req *http.Request) (*http.Response, error) {
	out, err := t.net.inspect(req, t.stream)
	if err == nil {
		err = checkHop(req)
	}
	var r reach
	if err == nil {
		r, err = t.net.route(out)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close() // RoundTripper's duty, also on error
		}
		return nil, err
	}
	if out.URL.Scheme == "https" {
		t.net.roots.start()
	} else {
		out = out.WithContext(context.WithValue(out.Context(), plainKey{}, true))
	}
	resp, err := t.pools[r].RoundTrip(out)
	if err != nil {
		return nil, plain(req.URL.Host, err)
	}
	resp.Request = req
	if t.maxBody > 0 {
		resp.Body = &boundedBody{body: resp.Body, host: req.URL.Hostname(), left: t.maxBody, limit: t.maxBody}
	}
	return resp, nil
}

// plainKey marks the connections that need no certificates: those of plain http,
// which is for loopback only.
type plainKey struct{}

// pool returns the transport for one reach. Connections are never shared between
// reaches: a kept connection would otherwise carry a request past the guard.
func (n *Net) pool(r reach) *http.Transport {
	p := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return n.dial(ctx, r, network, addr)
		},
		TLSClientConfig:        n.roots.tlsConfig(),
		TLSHandshakeTimeout:    n.opt.TLSTimeout,
		ResponseHeaderTimeout:  n.opt.HeaderTimeout,
		Protocols:              n.protocols,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	if r != viaProxy { // a proxy's own dialer knows about the tunnel
		p.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return n.dialTLS(ctx, r, network, addr)
		}
	} else {
		p.Proxy = n.mustProxy
		p.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return &ProxyRefused{Proxy: proxy.Host, Status: resp.StatusCode}
			}
			return nil
		}
	}
	return p
}

// spoken are the protocols that are offered to servers. Some networks break HTTP/2, and
// who lives there has told Go programs so.
func spoken(godebug string) *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(!slices.Contains(strings.Split(godebug, ","), "http2client=0"))
	return p
}

// alpn is what a handshake offers: package http does not see to it where connections
// are made for it.
func alpn(p *http.Protocols) []string {
	if p.HTTP2() {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}

func (n *Net) proxyFor(req *http.Request) (*url.URL, error) {
	u, err := n.opt.Proxy(req)
	if err != nil {
		return nil, errors.New("read proxy settings: not a URL") // the cause quotes the proxy's password
	}
	return u, nil
}

// mustProxy keeps the unguarded dialer of the proxy pool from meeting a target.
func (n *Net) mustProxy(req *http.Request) (*url.URL, error) {
	u, err := n.proxyFor(req)
	if err == nil && u == nil {
		err = errors.New("read proxy settings: the proxy went away")
	}
	return u, err
}
