package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file that was right before gives the same for one server as the whole of it,
// also where the short way cannot be gone; a file that was not is judged as a whole.
func TestLoadOne(t *testing.T) {
	for name, text := range map[string]string{
		"plain": `{"enterpriseManagedAuth":{"idp":{"issuer":"https://idp.example","clientId":"c"},"idps":{"other":{"issuer":"https://other.example","clientId":"\u0065"}}},
			"mcpServers":{"a":{"url":"https://a.example/mcp","oauth":{"clientId":"a","scopes":["x","y"],"clientAuth":{"secretFile":"s"}}},
			"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w","idp":"other","clientAuth":{"secretFile":"~/s"}}}},
			"client":{"metadataUrl":"https://c.example/c.json"},"store":{"kind":"file","keyFile":"k"},"caFile":"ca.pem"}`,
		"server first": `{"mcpServers":{"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w"}},"a":{"url":"https://a.example/mcp","oauth":{"clientId":"a"}}}}`,
		"comments":     "{// which one?\n\"mcpServers\":{\"wiki\":{\"url\":\"https://wiki.example/mcp\",\"oauth\":{\"clientId\":\"w\"}},},}",
		"without":      `{"mcpServers":{"a":{"url":"https://a.example/mcp","oauth":{"clientId":"a"}}}}`,
		"empty":        `{}`,
		"no servers":   `{"mcpServers":{},"caFile":"/ca.pem"}`,
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			p, err := Locate(home, vars{}.get)
			if err != nil {
				t.Fatal(err)
			}
			write(t, p.Config, text, 0o600)
			whole, err := Load(p, Overrides{}, vars{}.get)
			if err != nil {
				t.Fatal(err)
			}
			one, err := LoadOne(p, Overrides{}, vars{}.get, "wiki", func(path, digest string) bool {
				return path == whole.Path && digest == whole.Digest
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, asked := one.file.Servers["a"]; asked && name != "comments" {
				t.Error("the other server was looked at")
			}
			delete(whole.file.Servers, "a")
			delete(one.file.Servers, "a")
			if diff := cmp.Diff(whole.file, one.file); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is wrong about another server stops every server, unless the file is known:
// nobody but Load decides that it is right.
func TestLoadOneOfAWrongFile(t *testing.T) {
	p, err := Locate(t.TempDir(), vars{}.get)
	if err != nil {
		t.Fatal(err)
	}
	good := `{"mcpServers":{"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w"}}}}`
	write(t, p.Config, good, 0o600)
	c, err := Load(p, Overrides{}, vars{}.get)
	if err != nil {
		t.Fatal(err)
	}
	right := func(_, digest string) bool { return digest == c.Digest }
	for _, text := range []string{
		`{"mcpServers":{"a":{"url":"http://a.example"},"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w"}}}}`,
		`{"mcpServers":{"a":1,"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w"}}}}`,
		`{"mcpServers":{"wiki":{"url":"https://wiki.example/mcp","oauth":{"clientId":"w"}}}} x`,
	} {
		write(t, p.Config, text, 0o600)
		if _, err := LoadOne(p, Overrides{}, vars{}.get, "wiki", right); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}
