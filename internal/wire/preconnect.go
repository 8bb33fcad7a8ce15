package wire

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// freshness is how long a connection without a request is worth having. Servers
// drop such connections, and a request that finds out too late is not repeated.
const freshness = 4 * time.Second

// early holds connections that were made before their request. Its zero value is
// empty.
type early struct {
	mu    sync.Mutex
	known map[spot]*connecting // nil for a place that needs none any more
}

type spot struct {
	r       reach
	address string // as package http gives it to dialers
}

// connecting is a connection being made. done is closed when conn and err are set.
type connecting struct {
	done chan struct{}
	conn net.Conn
	err  error
	made time.Time // without the monotonic reading: a laptop that slept has no connections
}

// Soon says that a request will follow, so that what all of them need is got ready.
func (n *Net) Soon() { n.roots.start() }

// Preconnect begins a connection to the host of rawURL, TCP and TLS, and sends
// nothing over it: the next request to that host finds it. The guard judges it like a
// request; one that it refuses, or that fails, is nobody's business before that
// request comes. A host that was connected to before, and one behind a proxy, gets
// none.
func (n *Net) Preconnect(ctx context.Context, rawURL string) {
	go n.preconnect(context.WithoutCancel(ctx), rawURL)
}

func (n *Net) preconnect(ctx context.Context, rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return
	}
	r, err := n.route((&http.Request{Method: http.MethodGet, URL: u}).WithContext(ctx))
	if err != nil || r == viaProxy {
		return
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	p := spot{r, net.JoinHostPort(u.Hostname(), port)}
	c := &connecting{done: make(chan struct{})}
	if !n.early.begin(p, c) {
		return
	}
	c.conn, c.err = n.connect(ctx, r, "tcp", p.address)
	c.made = time.Now().Round(0)
	close(c.done)
	time.AfterFunc(freshness, func() {
		if c := n.early.take(p); c != nil {
			c.close()
		}
	})
}

// begin reports whether c is the first connection to p.
func (e *early) begin(p spot, c *connecting) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.known[p]; known {
		return false
	}
	if e.known == nil {
		e.known = map[spot]*connecting{}
	}
	e.known[p] = c
	return true
}

// take returns the connection to p that nobody has taken, if there is one, and
// remembers that p was connected to.
func (e *early) take(p spot) *connecting {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.known[p]
	if e.known == nil {
		e.known = map[spot]*connecting{}
	}
	e.known[p] = nil
	return c
}

func (c *connecting) close() {
	<-c.done
	if c.conn != nil {
		c.conn.Close()
	}
}

// dialTLS is the dialer of the pools.
func (n *Net) dialTLS(ctx context.Context, r reach, network, address string) (net.Conn, error) {
	if c := n.early.take(spot{r, address}); c != nil {
		select {
		case <-c.done:
			if c.err == nil && time.Since(c.made) < freshness {
				return c.conn, nil
			}
			c.close()
		case <-ctx.Done():
			go c.close()
			return nil, ctx.Err()
		}
	}
	return n.connect(ctx, r, network, address)
}

// connect makes a connection that is ready for requests.
func (n *Net) connect(ctx context.Context, r reach, network, address string) (net.Conn, error) {
	conn, err := n.dial(ctx, r, network, address)
	if err != nil {
		return nil, err
	}
	config := n.roots.tlsConfig()
	config.NextProtos = alpn(n.protocols)
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		conn.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.opt.TLSTimeout)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}
