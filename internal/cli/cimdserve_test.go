package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// A page of another name that leads here (DNS rebinding, S10) gets nothing, and
// what is served goes out as authorization servers want it.
func TestServePages(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	here := l.Addr().String()
	go func() {
		done <- servePages(ctx, l, []string{here, "acme.example"}, map[string][]byte{"/mcpauth.json": []byte("{}")})
	}()
	for _, tt := range []struct {
		method, host, path string
		want               int
		body               string
	}{
		{"GET", here, "/mcpauth.json", 200, "{}"},
		{"GET", "acme.example", "/mcpauth.json?x=1", 200, "{}"},
		{"HEAD", here, "/mcpauth.json", 200, ""},
		{"GET", "evil.example", "/mcpauth.json", 421, "not a name of this server\n"},
		{"GET", "localhost", "/mcpauth.json", 421, "not a name of this server\n"},
		{"POST", here, "/mcpauth.json", 405, "GET is all there is\n"},
		{"GET", here, "/", 404, "404 page not found\n"},
		{"GET", here, "/../mcpauth.json", 404, "404 page not found\n"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+here+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.want || string(body) != tt.body || err != nil {
			t.Errorf("%s %s at %s: %d %q, %v", tt.method, tt.path, tt.host, resp.StatusCode, body, err)
		}
		if kind := resp.Header.Get("Content-Type"); (kind == "application/json") != (tt.want == 200) {
			t.Errorf("%s %s: content type %q", tt.method, tt.path, kind)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("other pages may read it")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
