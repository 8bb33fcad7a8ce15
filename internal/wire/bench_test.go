package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// What a bridge pays for every call of a tool.
func BenchmarkInspectCall(b *testing.B) {
	const server = "https://wiki.example/mcp"
	n := newNet(b, Options{})
	token := secret.New(strings.Repeat("s", 1200))
	n.Permit(AccessToken, token, Prefix(server))
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server, strings.NewReader("{}"))
	if err != nil {
		b.Fatal(err)
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + token.Reveal()},
		"Mcp-Session-Id": {"1d3e0f3a-3c3b-4f0e-9a43-1de3f1b1f0d2"}, "Mcp-Protocol-Version": {"2025-11-25"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.inspect(req, true); err != nil {
			b.Fatal(err)
		}
	}
}

// Every request pays for its inspection: here an exchange, with as many secrets
// known as a call with this many servers has.
func BenchmarkInspect(b *testing.B) {
	const endpoint = "https://idp.example/token"
	for _, secrets := range []int{3, 100} {
		b.Run(fmt.Sprint(secrets, " secrets"), func(b *testing.B) {
			n := newNet(b, Options{})
			text := func(i int) secret.Text { return secret.New(fmt.Sprint(i, ".", strings.Repeat("s", 1200))) }
			for i := range secrets {
				n.Permit(SubjectToken, text(i), Endpoint(endpoint))
			}
			form := url.Values{
				"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"audience":      {"https://as.example"},
				"resource":      {"https://wiki.example/mcp"},
				"subject_token": {text(0).Reveal()},
			}.Encode()
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, endpoint, strings.NewReader(form))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if _, err := n.inspect(req, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
