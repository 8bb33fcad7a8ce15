package clients

import (
	"os"
	"strings"
	"testing"
)

// inspector runs the MCP Inspector's command line, which connects anew for each
// thing it is asked.
func inspector(t *testing.T, o *office, v visit) report {
	ask := func(args ...string) (string, error) {
		return o.insist(t, v.form, func(header string) result {
			command := []string{npm("mcp-inspector"), "--cli", o.wiki.URL, "--transport", "http", "--header", header}
			if v.form == bridge {
				command = []string{npm("mcp-inspector"), "--cli", "mcpauth", "bridge", "wiki"}
			}
			return o.run(t, o.env(), os.Getenv("NODE"), append(command, args...)...)
		})
	}
	list, err := ask("--method", "tools/list")
	r := report{listed: err == nil && strings.Contains(list, tool)}
	r.answers = v.converse(func() (string, error) {
		return ask("--method", "tools/call", "--tool-name", tool, "--tool-arg", "query="+searchWord)
	})
	r.said = strings.Join(append(r.answers, list), "\n")
	return r
}

// insist does what a careful script does with a client that ends after each
// request: once more, with a fresh token, when the first one was not accepted.
// The bridge does that by itself.
func (o *office) insist(t *testing.T, f form, once func(header string) result) (string, error) {
	t.Helper()
	if f == bridge {
		r := once("")
		return r.stdout, r.err()
	}
	r := result{}
	for _, more := range [][]string{nil, {"--fresh"}} {
		helper := o.mcpauth(t, append([]string{"headers", "wiki", "--format", "header"}, more...)...)
		if helper.code != 0 {
			return "", helper.err()
		}
		if r = once(strings.TrimSpace(helper.stdout)); r.code == 0 {
			break
		}
	}
	return r.stdout, r.err()
}
