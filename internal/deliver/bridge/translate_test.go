package bridge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestTranslation has a client that knows sessions only talk to a server that has
// none any more.
func TestTranslation(t *testing.T) {
	changed := make(chan string, 10)
	logged := make(chan string, 10)
	s := sdkServer(&mcp.ServerOptions{
		SupportedProtocolVersions: []string{"2026-07-28"}, Instructions: "be kind",
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	s.AddResource(&mcp.Resource{URI: "test://one", Name: "one"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "test://one", Text: "1"}}}, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "greet-asked"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		if r, ok := req.Params.InputResponses["who"].(*mcp.ElicitResult); ok && req.Params.RequestState == "s1" {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello " + r.Content["name"].(string)}}}, nil, nil
		}
		return &mcp.CallToolResult{RequestState: "s1", InputRequests: mcp.InputRequestMap{"who": &mcp.ElicitParams{Mode: "form", Message: "who?"}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "log"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "error", Data: "logged"})
		return &mcp.CallToolResult{Content: []mcp.Content{}}, nil, nil
	})
	url := serve(t, bearing(t, handler(s, &mcp.StreamableHTTPOptions{Stateless: true})))
	r := start(t, url, nil)
	client := mcp.NewClient(&mcp.Implementation{Name: "old", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Bob"}}, nil
		},
		LoggingMessageHandler:  func(_ context.Context, r *mcp.LoggingMessageRequest) { logged <- r.Params.Data.(string) },
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- "tools" },
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { changed <- r.Params.URI },
	})
	session, err := client.Connect(t.Context(), r.transport(), &mcp.ClientSessionOptions{ProtocolVersion: "2025-06-18"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	hello := session.InitializeResult()
	if hello.ProtocolVersion != "2025-11-25" || hello.ServerInfo.Name != "remote" || hello.Instructions != "be kind" || hello.Capabilities.Tools == nil {
		t.Errorf("initialize: %+v", hello)
	}
	if err := session.Ping(t.Context(), nil); err != nil {
		t.Errorf("ping: %v", err)
	}
	call := func(name, want string) {
		t.Helper()
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"name": "Alice"}})
		if name != "greet" {
			res, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: name})
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want != "" && res.Content[0].(*mcp.TextContent).Text != want {
			t.Errorf("%s: %+v", name, res.Content[0])
		}
	}
	call("greet", "hello Alice")
	call("greet-asked", "hello Bob")
	if err := session.SetLoggingLevel(t.Context(), &mcp.SetLoggingLevelParams{Level: "warning"}); err != nil {
		t.Errorf("logging/setLevel: %v", err)
	}
	call("log", "")
	if got := <-logged; got != "logged" {
		t.Errorf("log %q", got)
	}
	if err := session.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "test://one"}); err != nil {
		t.Errorf("resources/subscribe: %v", err)
	}
	if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "test://one"}); err != nil {
		t.Errorf("resources/read: %v", err)
	}
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "nothing"})
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("unknown tool: %v", err)
	}
	if w := r.warn.all(); len(w) != 1 || !strings.Contains(w[0], "translating") {
		t.Errorf("warnings: %q", w)
	}
	_ = changed
}
