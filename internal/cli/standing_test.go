package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/token"
)

// A bridge or a proxy keeps talking to the URL that it was started for. When the name means
// another server by now, that one's token must not go there.
func TestStandingKeepsToItsServer(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".config", "mcpauth", "config.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	configure := func(url string) {
		text := `{"enterpriseManagedAuth":{"idp":{"issuer":"https://idp.example","clientId":"c"}},
			"store":{"kind":"file","keyFile":"` + filepath.ToSlash(filepath.Join(home, "key")) + `"},
			"mcpServers":{"wiki":{"type":"http","url":"` + url + `","oauth":{"clientId":"w"}}}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("https://old.example/mcp")
	a := &app{env: Env{Home: home, Getenv: func(string) string { return "" }, Stderr: io.Discard}}
	if err := a.open(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.network(); err != nil {
		t.Fatal(err)
	}
	server, err := a.cfg.Server("wiki")
	if err != nil {
		t.Fatal(err)
	}
	tokens := &standing{first: a}
	configure("https://new.example/mcp")
	if _, err := tokens.get(t.Context(), server, token.Ask{}); err == nil || !strings.Contains(err.Error(), "is another one since this program was started") {
		t.Errorf("got %v", err)
	}
}
