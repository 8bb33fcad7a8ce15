package clients

import (
	"fmt"
	"strings"
	"testing"
)

// curl speaks the protocol by hand, with the header on its standard input, where
// no other process can see it.
func curl(t *testing.T, o *office, v visit) report {
	post := func(method string, params map[string]any) (string, error) {
		message := compact(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
		return o.insist(t, v.form, func(header string) result {
			return o.feed(t, header, "curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20", "--header", "@-",
				"--header", "Content-Type: application/json", "--header", "Accept: application/json, text/event-stream",
				"--header", "MCP-Protocol-Version: "+revision, "--data", message, o.wiki.URL)
		})
	}
	hello, err := post("initialize", map[string]any{"protocolVersion": revision, "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": "curl", "version": "7"}})
	if err == nil && !strings.Contains(hello, "acme-wiki") {
		err = fmt.Errorf("initialize was answered %q", hello)
	}
	list := ""
	if err == nil {
		list, err = post("tools/list", map[string]any{})
	}
	r := report{listed: err == nil && strings.Contains(list, tool)}
	r.answers = v.converse(func() (string, error) {
		return post("tools/call", map[string]any{"name": tool, "arguments": searchArguments()})
	})
	r.said = strings.Join(append(r.answers, hello, list), "\n")
	return r
}

// revision is the protocol's, for clients that are told which one to speak.
const revision = "2025-11-25"
