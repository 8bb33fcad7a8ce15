package discover_test

import (
	"testing"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

func BenchmarkChallenges(b *testing.B) {
	h := header(`Negotiate, Bearer realm="mcp, and more", error="invalid_token", scope="read write", ` +
		`resource_metadata="https://wiki.example/.well-known/oauth-protected-resource/mcp", DPoP algs="ES256 PS256"`)
	b.ReportAllocs()
	for b.Loop() {
		if list, err := discover.Challenges(h); err != nil || len(list) != 3 {
			b.Fatal(list, err)
		}
	}
}
