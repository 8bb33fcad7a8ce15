package wire

import (
	"net/http"
	"time"
)

// maxStreamsIdle is how many connections to one server are kept for the next
// burst of calls. With HTTP/2 one is enough; with HTTP/1.1 every call under way
// has its own, and closing all but a few after each burst would cost a handshake
// a call.
const maxStreamsIdle = 128

// Streaming returns an HTTP client for conversations that have no end: answers of
// any size and length, and no time in which headers or a body must come. The table,
// the guard and the redirect rules are those of Client, and no redirect at all is
// followed. What is read must be bounded by its reader, and ended by its context. The
// JSON that is sent is not looked at.
//
// It keeps its own connections, so that a server that stalls a stream stalls no
// request of Client.
func (n *Net) Streaming() *http.Client {
	return &http.Client{
		Transport:     &transport{net: n, pools: &n.streams, stream: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// stream returns the transport of Streaming for one reach.
func (n *Net) stream(r reach) *http.Transport {
	p := n.pool(r)
	p.ResponseHeaderTimeout = 0
	p.MaxIdleConnsPerHost = maxStreamsIdle
	// A connection that died while the laptop slept is noticed by nobody who
	// only listens. TCP's own probes do it for HTTP/1.1.
	p.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	return p
}
