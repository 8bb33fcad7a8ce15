package idjag_test

import (
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func BenchmarkParse(b *testing.B) {
	assertion := secret.New(raw(`{"alg":"ES256","typ":"oauth-id-jag+jwt","kid":"k1"}`,
		`{"iss":"https://idp.example","sub":"alice","aud":"https://as.example","client_id":"c","jti":"j","resource":"https://wiki.example/mcp",
		"scope":"read write","iat":1767225600,"exp":1767225900,"email":"alice@acme.example","auth_time":1767225000}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := idjag.Parse(assertion); err != nil {
			b.Fatal(err)
		}
	}
}
