package config

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func wiki() Server {
	return Server{Type: "http", URL: "https://wiki.example/mcp", OAuth: OAuth{ASClientID: "w", Scopes: []string{"read", "write"}}}
}

// One row per habit a file can have: everything but the edited member stays.
func TestEdit(t *testing.T) {
	addWiki := func(d *Doc) error { return d.SetServer("wiki", wiki()) }
	dropA := func(d *Doc) error { return d.RemoveServer("a") }
	const member = `"wiki": {
      "type": "http",
      "url": "https://wiki.example/mcp",
      "oauth": {
        "clientId": "w",
        "scopes": ["read", "write"]
      }
    }`
	for _, tt := range []struct {
		name         string
		change       func(*Doc) error
		before, want string
	}{
		{"new file", addWiki, "-", `// mcpauth: who signs you in, and which MCP servers you use.
// Comments are fine and stay when mcpauth edits this file. Secrets do not belong here.
{
  "mcpServers": {
    ` + member + `
  }
}
`},
		{"empty file", addWiki, "", "{\n  \"mcpServers\": {\n    " + member + "\n  }\n}\n"},
		{"only comments", addWiki, "// mine", "// mine\n{\n  \"mcpServers\": {\n    " + member + "\n  }\n}\n"},
		{"empty object inside comments", addWiki, "{ // here\n  /* and here */\n} // there", "{ // here\n  /* and here */\n  \"mcpServers\": {\n    " + member + "\n  }\n} // there"},
		{"after a sibling, no trailing comma", addWiki,
			"{\n  \"mcpServers\": {\n    // the a\n    \"a\": {\"url\": \"https://a.example\"} // behind a\n    // last words\n  }\n}\n",
			"{\n  \"mcpServers\": {\n    // the a\n    \"a\": {\"url\": \"https://a.example\"}, // behind a\n    // last words\n    " + member + "\n  }\n}\n"},
		{"after a sibling, trailing comma", addWiki,
			"{\n  \"mcpServers\": {\n    \"a\": {\"url\": \"https://a.example\"}, // behind a\n  },\n}\n",
			"{\n  \"mcpServers\": {\n    \"a\": {\"url\": \"https://a.example\"}, // behind a\n    " + member + ",\n  },\n}\n"},
		{"one line", addWiki,
			`{"mcpServers": {"a": {"url": "https://a.example"}}}`,
			`{"mcpServers": {"a": {"url": "https://a.example"}, "wiki": { "type": "http", "url": "https://wiki.example/mcp", "oauth": { "clientId": "w", "scopes": ["read", "write"] } }}}`},
		{"tabs and CRLF", addWiki,
			"{\r\n\t\"caFile\": \"/ca\"\r\n}\r\n",
			"{\r\n\t\"caFile\": \"/ca\",\r\n\t\"mcpServers\": {\r\n\t\t\"wiki\": {\r\n\t\t\t\"type\": \"http\",\r\n\t\t\t\"url\": \"https://wiki.example/mcp\",\r\n\t\t\t\"oauth\": {\r\n\t\t\t\t\"clientId\": \"w\",\r\n\t\t\t\t\"scopes\": [\"read\", \"write\"]\r\n\t\t\t}\r\n\t\t}\r\n\t}\r\n}\r\n"},
		{"byte order mark", addWiki, "\ufeff{}", "\ufeff{\n  \"mcpServers\": {\n    " + member + "\n  }\n}"},
		{"change in place", addWiki,
			"{\n  \"mcpServers\": {\n    \"wiki\": {\n      // moved in May\n      \"url\": \"https://old.example/mcp\", // was elsewhere\n      \"type\": \"http\",\n      \"oauth\": {\n        \"idp\": \"default\",\n        \"clientId\": /* ours */ \"w\",\n        \"scopes\": [\n          \"read\"\n        ]\n      }\n    },\n    \"z\": {\"url\": \"https://z.example\"}\n  },\n  \"enterpriseManagedAuth\": {\"idp\": {\"issuer\": \"https://idp.example\", \"clientId\": \"i\"}}\n}\n",
			"{\n  \"mcpServers\": {\n    \"wiki\": {\n      // moved in May\n      \"url\": \"https://wiki.example/mcp\", // was elsewhere\n      \"type\": \"http\",\n      \"oauth\": {\n        \"clientId\": /* ours */ \"w\",\n        \"scopes\": [\"read\", \"write\"]\n      }\n    },\n    \"z\": {\"url\": \"https://z.example\"}\n  },\n  \"enterpriseManagedAuth\": {\"idp\": {\"issuer\": \"https://idp.example\", \"clientId\": \"i\"}}\n}\n"},
		{"remove the first", dropA,
			"{\n  \"mcpServers\": {\n    // both\n    \"a\": {\"url\": \"https://a.example\"},\n    \"b\": {\"url\": \"https://b.example\"}\n  }\n}\n",
			"{\n  \"mcpServers\": {\n    // both\n    \"b\": {\"url\": \"https://b.example\"}\n  }\n}\n"},
		{"remove the last", dropA,
			"{\n  \"mcpServers\": {\n    \"b\": {\"url\": \"https://b.example\"}, // b\n    \"a\": {\"url\": \"https://a.example\"} // a\n  }\n}\n",
			"{\n  \"mcpServers\": {\n    \"b\": {\"url\": \"https://b.example\"} // b\n    // a\n  }\n}\n"},
		{"remove the last with a trailing comma", dropA,
			"{\n  \"mcpServers\": {\n    \"b\": {\"url\": \"https://b.example\"},\n    \"a\": {\"url\": \"https://a.example\"},\n  }\n}\n",
			"{\n  \"mcpServers\": {\n    \"b\": {\"url\": \"https://b.example\"},\n  }\n}\n"},
		{"remove from one line", dropA,
			`{"mcpServers": {"b": {"url": "https://b.example"}, "a": {"url": "https://a.example"}, "c": {"url": "https://c.example"}}}`,
			`{"mcpServers": {"b": {"url": "https://b.example"}, "c": {"url": "https://c.example"}}}`},
		{"remove the only one", dropA, `{"mcpServers": {"a": {"url": "https://a.example"}}}`, `{"mcpServers": {}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if tt.before != "-" {
				if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Edit(context.Background(), path, tt.change); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
