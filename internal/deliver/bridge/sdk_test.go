package bridge_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
)

type greetArgs struct {
	Name string `json:"name"`
}

// sdkServer is a server of the official SDK.
func sdkServer(o *mcp.ServerOptions) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "remote", Version: "1"}, o)
	mcp.AddTool(s, &mcp.Tool{Name: "greet"}, func(ctx context.Context, req *mcp.CallToolRequest, a greetArgs) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello " + a.Name}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "ask"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		res, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "name?"})
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "answer " + res.Action}}}, nil, nil
	})
	return s
}

func handler(s *mcp.Server, o *mcp.StreamableHTTPOptions) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, o)
}

// TestSDK has the official SDK's client and server talk through the bridge, in each
// version that both of them speak.
func TestSDK(t *testing.T) {
	for _, test := range []struct {
		name, version string
		http          mcp.StreamableHTTPOptions
	}{
		{"sessions, newest", "2025-11-25", mcp.StreamableHTTPOptions{}},
		{"sessions, JSON answers", "2025-06-18", mcp.StreamableHTTPOptions{JSONResponse: true}},
		{"sessions, oldest", "2025-03-26", mcp.StreamableHTTPOptions{}},
		{"sessions, none kept", "2025-11-25", mcp.StreamableHTTPOptions{Stateless: true}},
		{"stateless", "2026-07-28", mcp.StreamableHTTPOptions{Stateless: true}},
		{"stateless, JSON answers", "2026-07-28", mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}},
		{"fallback to sessions", "", mcp.StreamableHTTPOptions{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serve(t, bearing(t, handler(sdkServer(nil), &test.http)))
			r := start(t, url, nil)
			client := mcp.NewClient(&mcp.Implementation{Name: "local", Version: "1"}, nil)
			var o *mcp.ClientSessionOptions
			if test.version != "" {
				o = &mcp.ClientSessionOptions{ProtocolVersion: test.version}
			}
			session, err := client.Connect(t.Context(), r.transport(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			want := test.version
			if want == "" {
				want = "2025-11-25"
			}
			if got := session.InitializeResult().ProtocolVersion; got != want {
				t.Errorf("version %q, want %q", got, want)
			}
			list, err := session.ListTools(t.Context(), nil)
			if err != nil || len(list.Tools) != 2 {
				t.Fatalf("tools %v, error %v", list, err)
			}
			res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet", Arguments: greetArgs{"Alice"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Content[0].(*mcp.TextContent).Text; got != "hello Alice" {
				t.Errorf("got %q", got)
			}
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "nothing"}); err == nil {
				t.Error("a tool that is not there was called")
			}
			diff(t, "warnings", []string(nil), r.warn.all())
		})
	}
}

// TestSDKServerAsks has a server ask the client in the middle of a call.
func TestSDKServerAsks(t *testing.T) {
	for _, version := range []string{"2025-11-25", "2025-06-18"} {
		t.Run(version, func(t *testing.T) {
			url := serve(t, bearing(t, handler(sdkServer(nil), nil)))
			r := start(t, url, func(o *bridge.Options) {})
			client := mcp.NewClient(&mcp.Implementation{Name: "local", Version: "1"}, &mcp.ClientOptions{
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "decline"}, nil
				},
			})
			session, err := client.Connect(t.Context(), r.transport(), &mcp.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{}})
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Content[0].(*mcp.TextContent).Text; got != "answer decline" {
				t.Errorf("got %q", got)
			}
		})
	}
}
