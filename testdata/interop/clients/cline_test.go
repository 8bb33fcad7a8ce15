package clients

import (
	"path/filepath"
	"testing"
)

// cline runs Cline for one task, with the entry that mcpauth setup writes. Its
// settings and variables keep it from the network and from leaving a service of its
// own behind. What it says of a server that it cannot use is in its log only.
func cline(t *testing.T, o *office, v visit) report {
	m := startModel(t, v)
	data := filepath.Join(".cline", "data")
	o.write(t, filepath.Join(data, "settings", "global-settings.json"), `{"telemetryOptOut": true, "autoUpdateEnabled": false}`)
	provider := map[string]any{"provider": "openai-compatible", "apiKey": "sk-practice", "model": "practice", "baseUrl": m.url + "/v1"}
	o.write(t, filepath.Join(data, "settings", "providers.json"), compact(map[string]any{"version": 1, "lastUsedProvider": "openai-compatible",
		"providers": map[string]any{"openai-compatible": map[string]any{"settings": provider, "updatedAt": "2026-11-22T00:00:00Z"}}}))
	o.setUp(t, "cline")
	env := o.env("CLINE_NO_AUTO_UPDATE=1", "CLINE_SESSION_BACKEND_MODE=local", "E2E_TEST=true") // the last: no feature flags
	r := o.run(t, env, npm("cline"), "--json", "What does the wiki say?")
	return m.report(r.said() + "\n" + o.read(filepath.Join(o.home, data, "logs", "cline.log")))
}
