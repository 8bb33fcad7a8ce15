package bridge_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const backMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"new","version":"2"},` +
	`"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"sampling":{},"experimental":{"x":{}}}`

// modern writes a request of the stateless era; params begin with a comma.
func modern(id, method, params string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + backMeta + `}` + params + `}}`
}

// fields decodes a line; what is not there is nil.
func fields(t *testing.T, line string, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatal(err)
	}
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// TestBackward has a client that knows the stateless era only talk to a server of the
// official SDK that knows sessions only.
func TestBackward(t *testing.T) {
	left := make(chan struct{})
	s := sdkServer(&mcp.ServerOptions{SupportedProtocolVersions: []string{"2025-06-18"}, Instructions: "be kind",
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { close(left); return nil },
	})
	s.AddResource(&mcp.Resource{URI: "test://ä", Name: "one"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "test://ä", Text: "1"}}}, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "log"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "error", Data: "logged"})
		return &mcp.CallToolResult{Content: []mcp.Content{}}, nil, nil
	})
	came, gone := make(chan struct{}), make(chan struct{})
	mcp.AddTool(s, &mcp.Tool{Name: "hang"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		close(came)
		<-ctx.Done()
		close(gone)
		return nil, nil, ctx.Err()
	})
	r := start(t, serve(t, bearing(t, handler(s, nil))), nil)

	r.say(t, modern("1", "server/discover", ""))
	if got := r.hear(t, 1)[0]; fields(t, got, "error", "code") == nil {
		t.Errorf("a client that probes hears %s", got)
	}
	r.say(t, modern("2", "tools/list", ""))
	got := r.hear(t, 1)[0]
	if list, _ := fields(t, got, "result", "tools").([]any); len(list) != 4 || fields(t, got, "result", "resultType") != "complete" {
		t.Errorf("tools/list: %s", got)
	}
	r.say(t, modern("3", "server/discover", ""))
	got = r.hear(t, 1)[0]
	diff(t, "discovery", []any{[]any{"2026-07-28"}, "be kind", "remote", "complete"}, []any{
		fields(t, got, "result", "supportedVersions"), fields(t, got, "result", "instructions"),
		fields(t, got, "result", "_meta", "io.modelcontextprotocol/serverInfo", "name"), fields(t, got, "result", "resultType"),
	})
	r.say(t, modern(`"4"`, "tools/call", `,"name":"greet","arguments":{"name":"Alice"}`))
	if got = r.hear(t, 1)[0]; !strings.Contains(got, "hello Alice") || fields(t, got, "id") != "4" {
		t.Errorf("greet: %s", got)
	}
	r.say(t, modern("5", "tools/call", `,"name":"ask","arguments":{}`))
	if got = r.hear(t, 1)[0]; fields(t, got, "id") != 5.0 || !strings.Contains(got, "elicitation") {
		t.Errorf("ask: %s", got)
	}
	r.say(t, strings.Replace(modern("6", "tools/call", `,"name":"log","arguments":{}`), `"_meta":{`, `"_meta":{"io.modelcontextprotocol/logLevel":"warning",`, 1))
	if both := strings.Join(r.hear(t, 2), " "); !strings.Contains(both, `"logged"`) || !strings.Contains(both, `"id":6`) {
		t.Errorf("log: %s", both)
	}
	r.say(t, modern("7", "subscriptions/listen", `,"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["test://\u00e4"]}`))
	got = r.hear(t, 1)[0]
	if fields(t, got, "params", "_meta", "io.modelcontextprotocol/subscriptionId") != 7.0 || fields(t, got, "method") != "notifications/subscriptions/acknowledged" {
		t.Errorf("listen: %s", got)
	}
	s.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "test://ä"})
	got = r.hear(t, 1)[0]
	if fields(t, got, "params", "uri") != "test://ä" || fields(t, got, "params", "_meta", "io.modelcontextprotocol/subscriptionId") != 7.0 {
		t.Errorf("changed: %s", got)
	}
	r.say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	<-left
	r.say(t, modern("8", "tools/call", `,"name":"hang","arguments":{}`))
	<-came
	r.say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}}`)
	<-gone
	if w := r.warn.all(); len(w) != 1 || !strings.Contains(w[0], "translating") {
		t.Errorf("warnings: %q", w)
	}
}

// What goes to a server of sessions in place of what the client said; and what such a
// server says that the client would not understand.
func TestBackwardBytes(t *testing.T) {
	told := make(chan struct{}, 2)
	s := sessions(nil)
	standing := s.answer
	s.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case r.Header.Get("Mcp-Session-Id") == "" && !strings.Contains(body, `"initialize"`):
			http.Error(w, "no session", http.StatusBadRequest)
		case strings.Contains(body, `"method":"x"`):
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\"}\n\n")
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"s2\",\"method\":\"ping\"}\n\n")
			event(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"s1\"}}\n\n")
			event(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
			event(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n")
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		case strings.Contains(body, `"id":"s`):
			w.WriteHeader(http.StatusAccepted)
			told <- struct{}{}
		default:
			standing(w, r, body)
		}
	}
	r := start(t, serve(t, s), nil)
	ask := strings.Replace(modern("1", "x", `,"a":1.0`), `"_meta":{`, `"_meta":{"progressToken":1,"o\"wn":[1.0],`, 1)
	r.say(t, ask)
	diff(t, "answers", []string{`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`}, r.hear(t, 2))
	<-told
	<-told
	posts := s.posts()
	diff(t, "posts", []string{
		`{"jsonrpc":"2.0","id":"mcpauth-initialize","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"x":{}},` + extended + `},"clientInfo":{"name":"new","version":"2"}}}`,
		inited,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"o\"wn":[1.0]},"a":1.0}}`,
	}, posts[1:4])
	answers := strings.Join(posts[4:], "\n")
	if len(posts) != 6 || !strings.Contains(answers, `"id":"s1","error":{"code":-32601`) || !strings.Contains(answers, `{"jsonrpc":"2.0","id":"s2","result":{}}`) {
		t.Errorf("answers to the server: %s", answers)
	}
	if h := s.requests()[3].header; h.Get("Mcp-Session-Id") != "s1" || h.Get("Mcp-Protocol-Version") != "2025-06-18" || h.Get("Mcp-Method") != "" {
		t.Errorf("headers %v", h)
	}
}

// A server that refuses something in the stateless era for another reason is not
// asked for a session, or once in vain; its error comes through.
func TestNotBackward(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		posts  int // with that of initialize
		want   string
	}{
		{"unknown method", 404, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`, 1, `"code":-32601`},
		{"bad parameters", 400, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`, 1, `"code":-32602`},
		{"another version of the era", 400, `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}`, 1, `"code":-32022`},
		{"an error of the server's own", 400, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`, 2, `"code":-32000`},
		{"no words", 404, ``, 2, `HTTP 404`},
		{"forbidden", 403, ``, 1, `HTTP 403`},
		{"broken", 500, ``, 1, `HTTP 500`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				if strings.Contains(body, `"initialize"`) {
					say(w, `{"jsonrpc":"2.0","id":"mcpauth-initialize","error":{"code":-32601,"message":"no"}}`)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}}
			r := start(t, serve(t, s), nil)
			for i := range 2 {
				r.say(t, modern("1", "tools/list", ""))
				if got := r.hear(t, 1)[0]; !strings.Contains(got, test.want) {
					t.Errorf("answer %s", got)
				}
				if n := len(s.posts()); n != test.posts+i {
					t.Errorf("%d posts", n)
				}
			}
		})
	}
}

// A notification that was read before the session began, and is sent afterwards, goes
// as it is.
func TestBackwardLate(t *testing.T) {
	const late = `{"jsonrpc":"2.0","method":"notifications/second","params":{"a":1}}`
	begun := make(chan struct{})
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case strings.Contains(body, "notifications/"):
			if strings.Contains(body, "first") {
				<-begun
			}
			w.WriteHeader(http.StatusAccepted)
		case strings.Contains(body, `"initialize"`):
			say(w, strings.Replace(helloBack, `"id":0`, `"id":"mcpauth-initialize"`, 1))
		case strings.Contains(body, "2026-07-28"):
			w.WriteHeader(http.StatusBadRequest)
		case !noStream(w, r):
			say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, modern("0", "server/discover", ""))
	r.hear(t, 1)
	r.say(t, modern("1", "tools/list", ""), `{"jsonrpc":"2.0","method":"notifications/first"}`, late)
	r.hear(t, 1)
	close(begun)
	r.in.Close()
	<-r.ended
	posts := s.posts()
	diff(t, "the last post", late, posts[len(posts)-1])
}
