package clients

import (
	"strings"
	"testing"
)

// remote runs mcp-remote's own test client, which connects, lists and ends.
func remote(t *testing.T, o *office, v visit) report {
	helper := o.mcpauth(t, "headers", "wiki", "--format", "header")
	if helper.code != 0 {
		return report{said: helper.said(), answers: []string{"error: " + helper.said()}}
	}
	r := o.run(t, o.env(), npm("mcp-remote-client"), o.wiki.URL, "--header", strings.TrimSpace(helper.stdout))
	return report{listed: strings.Contains(r.said(), tool), said: r.said()}
}
