package cli

import (
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Rule A8: an access token is looked into for diagnosis only.
func TestDoubts(t *testing.T) {
	key, err := idjagtest.NewKey(idjagtest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	const as, resource = "https://as.example", "https://wiki.example/mcp"
	for name, row := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"right":            {map[string]any{"iss": as, "aud": resource}, ""},
		"one of several":   {map[string]any{"iss": as, "aud": []string{"x", resource}}, ""},
		"says nothing":     {map[string]any{"sub": "alice"}, ""},
		"another issuer":   {map[string]any{"iss": as + "/", "aud": resource}, "another issuer"},
		"another audience": {map[string]any{"iss": as, "aud": "https://payroll.example/mcp"}, "payroll.example"},
	} {
		raw, err := key.Sign(map[string]any{"typ": "at+jwt"}, row.claims)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(doubts(token.Token{AccessToken: secret.New(raw), AS: as, Resource: resource}), "; ")
		if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
	if got := doubts(token.Token{AccessToken: secret.New("opaque"), AS: as, Resource: resource}); got != nil {
		t.Errorf("an opaque token: %q", got)
	}
}
