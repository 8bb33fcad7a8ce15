package clients

import "testing"

// claude runs Claude Code for one conversation, as the README sets it up. Its
// documented switches keep it from the network; offering tools only on request is
// off too, so that the model sees them.
func claude(t *testing.T, o *office, v visit) report {
	m := startModel(t, v)
	server := map[string]any{"type": "http", "url": o.wiki.URL, "headersHelper": "mcpauth headers wiki",
		"headers": map[string]any{"Authorization": "Bearer run-mcpauth-login"}}
	if v.form == bridge {
		server = map[string]any{"type": "stdio", "command": "mcpauth", "args": []string{"bridge", "wiki"}}
	}
	config := o.write(t, "mcp.json", compact(map[string]any{"mcpServers": map[string]any{"wiki": server}}))
	env := o.env("ANTHROPIC_BASE_URL="+m.url, "ANTHROPIC_API_KEY=sk-practice", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1",
		"DISABLE_ERROR_REPORTING=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "ENABLE_TOOL_SEARCH=false")
	r := o.run(t, env, npm("claude"), "-p", "What does the wiki say?", "--mcp-config", config, "--strict-mcp-config",
		"--allowedTools", "mcp__wiki__"+tool, "--output-format", "stream-json", "--verbose")
	return m.report(r.said())
}
