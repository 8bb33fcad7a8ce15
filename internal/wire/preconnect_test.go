package wire

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// countingServer counts the connections and the requests that come to it.
func countingServer(t *testing.T, h2 bool) (srv *httptest.Server, conns, requests *atomic.Int32, connected chan struct{}) {
	conns, requests, connected = new(atomic.Int32), new(atomic.Int32), make(chan struct{}, 16)
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, r.Proto)
	}))
	srv.EnableHTTP2 = h2
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
			connected <- struct{}{}
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, conns, requests, connected
}

// A connection that was made beforehand carries the next request, and nothing
// before that.
func TestPreconnect(t *testing.T) {
	for proto, h2 := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		srv, conns, requests, connected := countingServer(t, h2)
		n := newNet(t, Options{CAFile: caFile(t, srv)})
		n.Configured(srv.URL)
		n.Preconnect(t.Context(), srv.URL+"/token")
		<-connected
		n.preconnect(t.Context(), srv.URL+"/token") // one is enough
		for range 3 {
			resp, err := n.Client().Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != proto {
				t.Errorf("spoke %s, want %s", body, proto)
			}
		}
		n.preconnect(t.Context(), srv.URL) // it has been connected to
		if c, r := conns.Load(), requests.Load(); c != 1 || r != 3 {
			t.Errorf("%s: %d connections and %d requests, want 1 and 3", proto, c, r)
		}
	}
}

// Whoever preconnects may have gone when the connection is there.
func TestPreconnectOutlivesItsCaller(t *testing.T) {
	srv, conns, _, connected := countingServer(t, true)
	n := newNet(t, Options{CAFile: caFile(t, srv)})
	n.Configured(srv.URL)
	ctx, cancel := context.WithCancel(t.Context())
	n.Preconnect(ctx, srv.URL)
	cancel()
	<-connected
	if resp, err := n.Client().Get(srv.URL); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	if c := conns.Load(); c != 1 {
		t.Errorf("%d connections, want 1", c)
	}
}

// The guard judges the address as for a request (S8), and what is no https URL, or
// is a proxy's to reach, gets no connection.
func TestPreconnectIsGuarded(t *testing.T) {
	var dials recorder
	n := newNet(t, Options{beforeConnect: dials.stop, Resolver: fakeDNS(map[string][]string{
		"public.example": {"192.0.3.1"}, "private.example": {"10.0.0.1"}, "meta.example": {"169.254.169.254"},
	})})
	for _, u := range []string{"https://private.example/", "https://meta.example/", "https://127.0.0.1:1/", "http://127.0.0.1:1/", "https://", "ftp://public.example", "https://user:p@/", "%"} {
		n.preconnect(t.Context(), u)
	}
	if got := dials.addresses(); len(got) > 0 {
		t.Errorf("the guard let pass %q", got)
	}
	n.preconnect(t.Context(), "https://public.example/")
	if got := dials.addresses(); len(got) != 1 || got[0] != "192.0.3.1:443" {
		t.Errorf("dialed %q, want the public one", got)
	}
}

// The age of a connection counts the time that a laptop slept, in which the monotonic
// clock stands still.
func TestPreconnectBeforeSleep(t *testing.T) {
	srv, conns, _, connected := countingServer(t, true)
	n := newNet(t, Options{CAFile: caFile(t, srv)})
	n.Configured(srv.URL)
	n.preconnect(t.Context(), srv.URL)
	<-connected
	n.early.mu.Lock()
	for _, c := range n.early.known {
		if c.made != c.made.Round(0) {
			t.Error("made by the monotonic clock")
		}
		c.made = c.made.Add(-freshness)
	}
	n.early.mu.Unlock()
	resp, err := n.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if c := conns.Load(); c != 2 {
		t.Errorf("%d connections, want a new one", c)
	}
}
