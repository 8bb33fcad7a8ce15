package proxy

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// static is a client that knows nothing but a fixed header.
type static struct{}

func (static) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+key)
	return http.DefaultTransport.RoundTrip(req)
}

// The official SDK's client and server talk through the proxy in each era, over a
// token that is taken back in the middle.
func TestSDK(t *testing.T) {
	for _, row := range []struct {
		name, version string
		http          mcp.StreamableHTTPOptions
	}{
		{"sessions", "2025-11-25", mcp.StreamableHTTPOptions{}},
		{"sessions, JSON answers", "2025-06-18", mcp.StreamableHTTPOptions{JSONResponse: true}},
		{"stateless", "2026-07-28", mcp.StreamableHTTPOptions{Stateless: true}},
		{"stateless, JSON answers", "2026-07-28", mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := mcp.NewServer(&mcp.Implementation{Name: "remote", Version: "1"}, nil)
			greet := func(_ context.Context, _ *mcp.CallToolRequest, a struct {
				Name string `json:"name"`
			}) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello " + a.Name}}}, nil, nil
			}
			mcp.AddTool(server, &mcp.Tool{Name: "greet"}, greet)
			handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &row.http)
			var mu sync.Mutex
			good := "token-0-of-wiki"
			s := serve(t)
			s.up.raw = func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				ok := r.Header.Get("Authorization") == "Bearer "+good
				mu.Unlock()
				if !ok {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				handler.ServeHTTP(w, r)
			}
			changed := make(chan struct{}, 1)
			client := mcp.NewClient(&mcp.Implementation{Name: "local", Version: "1"}, &mcp.ClientOptions{
				ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
			})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://" + s.addr + "/wiki",
				HTTPClient: &http.Client{Transport: static{}}, MaxRetries: -1}, &mcp.ClientSessionOptions{ProtocolVersion: row.version})
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range []string{"token-0-of-wiki", "token-1-of-wiki"} {
				mu.Lock()
				good = token
				mu.Unlock()
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet", Arguments: map[string]any{"name": "Ada"}})
				if err != nil || got.Content[0].(*mcp.TextContent).Text != "hello Ada" {
					t.Fatalf("with %s: %v, %v", token, got, err)
				}
			}
			if !row.http.Stateless { // over the stream that the client holds open
				mcp.AddTool(server, &mcp.Tool{Name: "more"}, greet)
				<-changed
			}
			if v := session.InitializeResult().ProtocolVersion; v != row.version {
				t.Errorf("they spoke %s", v)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
