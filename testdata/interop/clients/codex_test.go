package clients

import (
	"fmt"
	"testing"
)

// codex runs Codex for one conversation, as the README sets it up. The server is
// required, because without that codex exec drops one that cannot be started
// without a word. Features that look for news on the network are off.
func codex(t *testing.T, o *office, v visit) report {
	m := startModel(t, v)
	server := fmt.Sprintf("url = %q\nhttp_headers_helper = \"mcpauth headers wiki\"\n", o.wiki.URL)
	if v.form == bridge {
		server = "command = \"mcpauth\"\nargs = [\"bridge\", \"wiki\"]\n"
	}
	o.write(t, ".codex/config.toml", fmt.Sprintf(`
model = "practice"
model_provider = "loopback"
approval_policy = "never"
sandbox_mode = "read-only"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.loopback]
name = "loopback"
base_url = %q
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[features]
plugins = false
apps = false

[mcp_servers.wiki]
default_tools_approval_mode = "approve"
required = true
%s`, m.url+"/v1", server))
	r := o.run(t, o.env(), npm("codex"), "exec", "--skip-git-repo-check", "What does the wiki say?")
	return m.report(r.said())
}
