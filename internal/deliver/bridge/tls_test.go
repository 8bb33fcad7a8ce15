package bridge_test

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// Over TLS, with and without HTTP/2: a session with its own stream, and a hundred
// calls at once. With HTTP/2 all of them share one connection.
func TestTLS(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			var streams, connections atomic.Int32
			h := bearing(t, handler(sdkServer(nil), nil))
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != version {
					t.Errorf("%s over %s", r.Method, r.Proto)
				}
				if r.Method == http.MethodGet {
					streams.Add(1)
				}
				h.ServeHTTP(w, r)
			}))
			srv.EnableHTTP2 = version == 2
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					connections.Add(1)
				}
			}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			r := start(t, srv.URL, func(o *bridge.Options) { o.Net = trusting(t, srv) })
			session, err := mcp.NewClient(&mcp.Implementation{Name: "local", Version: "1"}, nil).
				Connect(t.Context(), r.transport(), &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					name := fmt.Sprint("n", i)
					res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet", Arguments: greetArgs{name}})
					if err != nil || res.Content[0].(*mcp.TextContent).Text != "hello "+name {
						t.Errorf("call %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			if n := connections.Load(); version == 2 && n != 1 {
				t.Errorf("%d connections", n)
			}
			if n := streams.Load(); n != 1 {
				t.Errorf("%d streams of the session", n)
			}
		})
	}
}

// A certificate that nobody vouches for is said to be one, and no token goes there.
func TestForeignCertificate(t *testing.T) {
	s := &strict{answer: func(http.ResponseWriter, *http.Request, string) {}}
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	r := start(t, srv.URL, func(o *bridge.Options) { o.Explain = inWords })
	r.say(t, ask1)
	if got := r.hear(t, 1)[0]; len(s.requests()) != 0 {
		t.Errorf("%d requests, answer %s", len(s.requests()), got)
	}
}

// trusting is a network that trusts the certificate of srv.
func trusting(t *testing.T, srv *httptest.Server) *wire.Net {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(path, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := wire.New(wire.Options{CAFile: path})
	if err != nil {
		t.Fatal(err)
	}
	n.Configured(srv.URL)
	return n
}
