package clients

import (
	"fmt"
	"testing"
)

// continueCLI runs Continue's command for one conversation, with the entry that
// mcpauth setup writes. It ends when a server cannot be used.
func continueCLI(t *testing.T, o *office, v visit) report {
	m := startModel(t, v)
	o.write(t, ".continue/config.yaml", fmt.Sprintf(`name: Practice
version: 1.0.0
schema: v1
models:
  - name: practice
    provider: openai
    model: practice
    apiBase: %s/v1
    apiKey: sk-practice
    roles: [chat]
    capabilities: [tool_use]
`, m.url))
	o.setUp(t, "continue")
	r := o.run(t, o.env(), npm("cn"), "--auto", "-p", "What does the wiki say?")
	return m.report(r.said())
}
