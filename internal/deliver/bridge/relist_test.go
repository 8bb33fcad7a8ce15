package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A client that has not listed the tools cannot know that an argument goes into a
// header as well. The server says that it is missing, and the bridge looks.
func TestNeverListed(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/enterprise-managed-authorization":{}}}`
	const ask = `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"t","arguments":{"region":"eu"},` + meta + `,"progressToken":1}}}`
	const tool = `{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}`
	const mismatch = `{"jsonrpc":"2.0","id":"q","error":{"code":-32020,"message":"no header","data":1.0}}`
	const good = `{"jsonrpc":"2.0","id":"q","result":{}}`
	list := func(cursor string) string {
		return `{"jsonrpc":"2.0","id":"mcpauth-list","method":"tools/list","params":{` + meta + `}` + cursor + `}}`
	}
	for _, test := range []struct {
		name   string
		status int    // of the error
		tools  string // on the second page
		right  bool   // the server is content with the header
		want   string
		posts  []string
	}{
		{"on the second page", 400, tool, true, good, []string{ask, list(""), list(`,"cursor":"p2"`), ask}},
		{"an error with 200", 200, tool, true, good, []string{ask, list(""), list(`,"cursor":"p2"`), ask}},
		{"not there", 400, `{"name":"other","inputSchema":{}}`, true, mismatch, []string{ask, list(""), list(`,"cursor":"p2"`)}},
		{"wrong all the same", 400, tool, false, mismatch, []string{ask, list(""), list(`,"cursor":"p2"`), ask}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				switch {
				case strings.Contains(body, `"cursor"`):
					say(w, fmt.Sprintf(`{"jsonrpc":"2.0","id":"mcpauth-list","result":{"tools":[%s]}}`, test.tools))
				case strings.Contains(body, "tools/list"):
					say(w, `{"jsonrpc":"2.0","id":"mcpauth-list","result":{"tools":[],"nextCursor":"p2"}}`)
				case test.right && r.Header.Get("Mcp-Param-Region") == "eu":
					say(w, good)
				default:
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(test.status)
					io.WriteString(w, mismatch)
				}
			}}
			r := start(t, serve(t, s), nil)
			r.say(t, ask)
			diff(t, "answer", []string{test.want}, r.hear(t, 1))
			diff(t, "posts", test.posts, s.posts())
		})
	}
}
