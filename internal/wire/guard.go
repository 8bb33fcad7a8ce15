package wire

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// reach says which addresses a request may come to.
type reach int

const (
	toPublic   reach = iota // a host learnt from the network
	toPrivate               // the same, on behalf of a configured server that is private
	toLoopback              // the same, on behalf of one that is on loopback
	toAny                   // a host that the user configured
	viaProxy                // the proxy; what lies behind it, the proxy judges
	reaches
)

func (r reach) covers(c class) bool {
	switch c {
	case public:
		return true
	case private:
		return r == toPrivate || r == toAny
	case loopback:
		return r == toLoopback || r == toAny
	}
	return false
}

type behalfKey struct{}

// OnBehalfOf returns a context whose requests follow the word of this configured
// server: a host that it names may be private or on loopback only if it is so
// itself. A URL whose host was not given to Configured changes nothing.
func OnBehalfOf(ctx context.Context, configuredURL string) context.Context {
	u, err := url.Parse(configuredURL)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, behalfKey{}, hostOf(u))
}

// Configured says that the host of rawURL stands in the user's own configuration,
// and so may be at any address that is not reserved; at a reserved one only if it
// is written as that address. What is not a URL is ignored.
func (n *Net) Configured(rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || hostOf(u) == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.servers[hostOf(u)]; !ok {
		n.servers[hostOf(u)] = unknown
	}
}

// route judges the host of a request and says which addresses it may come to.
func (n *Net) route(req *http.Request) (reach, error) {
	u, host := req.URL, hostOf(req.URL)
	addr, err := netip.ParseAddr(host)
	literal := err == nil
	local := host == "localhost" || literal && classOf(addr) == loopback
	switch {
	case originOf(u) == "" || host == "":
		return 0, &Blocked{Host: u.Host, Reason: "not an http or https URL"}
	case !literal && !isName(host):
		return 0, &Blocked{Host: u.Host, Reason: "not a host name"}
	case u.Scheme == "http" && !local:
		return 0, &Blocked{Host: u.Host, Reason: "plain http is for loopback only"}
	}
	proxied := false
	if !local { // a proxy's loopback is not ours
		proxy, err := n.proxyFor(req)
		if err != nil {
			return 0, err
		}
		proxied = proxy != nil
	}
	if proxied && !literal {
		return viaProxy, nil
	}
	r := n.reachOf(req.Context(), host)
	if host == "localhost" {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if literal || local {
		if err := judge(host, addr, r); err != nil {
			return 0, err
		}
	}
	if proxied {
		r = viaProxy
	}
	return r, nil
}

func (n *Net) reachOf(ctx context.Context, host string) reach {
	if _, ok := n.whereIs(host); ok {
		return toAny
	}
	server, _ := ctx.Value(behalfKey{}).(string)
	c, ok := n.whereIs(server)
	if ok && c == unknown {
		n.lookup(ctx, server)
		c, _ = n.whereIs(server)
	}
	switch c {
	case private:
		return toPrivate
	case loopback:
		return toLoopback
	}
	return toPublic
}

func (n *Net) whereIs(host string) (c class, configured bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, configured = n.servers[host]
	return c, configured
}

// note remembers where a configured host was found. Of several places the most
// public one counts: whoever answers from outside has no word about the inside.
func (n *Net) note(host string, c class) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old, ok := n.servers[host]; ok && (old == unknown || c < old) {
		n.servers[host] = c
	}
}

// lookup finds out where a configured host is. One that cannot be found stays
// unknown, and vouches for nobody.
func (n *Net) lookup(ctx context.Context, host string) {
	if addr, err := netip.ParseAddr(host); err == nil {
		n.note(host, classOf(addr))
		return
	}
	addrs, err := n.opt.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return
	}
	for _, a := range addrs {
		n.note(host, classOf(a))
	}
}

// dial connects, and judges each address at the last moment before the socket is
// used, so that no second look-up can change it (DNS rebinding).
func (n *Net) dial(ctx context.Context, r reach, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: n.opt.ConnectTimeout, Resolver: n.opt.Resolver}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.TrimSuffix(lower(host), ".")
	d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		if r != viaProxy {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return &Blocked{Host: host, Reason: "no IP address"}
			}
			if err := judge(host, at.Addr(), r); err != nil {
				return err
			}
		}
		if n.opt.beforeConnect != nil {
			return n.opt.beforeConnect(resolved)
		}
		return nil
	}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok && r == toAny {
		n.note(host, classOf(at.AddrPort().Addr()))
	}
	if ctx.Value(plainKey{}) != nil {
		return conn, nil
	}
	if err := n.roots.wait(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// judge says whether host may be reached at addr.
func judge(host string, addr netip.Addr, r reach) error {
	c := classOf(addr)
	if host == "localhost" && c != loopback {
		return &Blocked{Host: host, Reason: "localhost is not on loopback"}
	}
	if r.covers(c) {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil && r == toAny {
		return nil // the user wrote down this very address
	}
	return &Blocked{Host: host, Reason: "it is at a " + c.String() + " address, which nothing in the configuration allows"}
}

// hostOf returns the host as the guard knows it. A trailing dot makes no other host
// here, unlike in the table: it must not be a way around.
func hostOf(u *url.URL) string { return strings.TrimSuffix(lower(u.Hostname()), ".") }

// isName accepts ASCII host names. One that ends in a number ("127.1", "0x7f.1")
// is an address to some resolvers and proxies, and is refused. An international
// name has to be written in its xn-- form, in which it cannot look like another (S15).
func isName(host string) bool {
	for _, r := range host {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' {
			return false
		}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
