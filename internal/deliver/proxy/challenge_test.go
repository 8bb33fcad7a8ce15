package proxy

import (
	"net/http"
	"testing"
)

// Attack S28: nothing in a refusal leads a client to a consent screen.
func TestKeepQuiet(t *testing.T) {
	for challenge, want := range map[string]string{
		"":       "",
		`Bearer`: `Bearer`,
		`Bearer error="insufficient_scope", scope="a b", realm="x"`:                                         `Bearer error="insufficient_scope", scope="a b", realm="x"`,
		`Bearer resource_metadata="https://wiki.example/.well-known/oauth-protected-resource"`:              `Bearer`,
		`Bearer error="invalid_token", resource_metadata="https://wiki.example/x"`:                          `Bearer error="invalid_token"`,
		`Bearer error="insufficient_scope", scope="a b", resource_metadata="https://wiki.example/x"`:        `Bearer error="insufficient_scope", scope="a b"`,
		`Basic realm="x", DPoP resource_metadata="https://wiki.example/x", error="made up\"", scope="a\"b"`: `Bearer`,
		`DPoP error="invalid_token", algs="ES256"`:                                                          `Bearer error="invalid_token"`,
		`DPoP algs="ES256", Bearer realm="x"`:                                                               `Bearer`,
		`DPoP error="use_dpop_nonce", algs="ES256"`:                                                         `Bearer`,
		`DPoP error="insufficient_scope", scope="a"`:                                                        `Bearer error="insufficient_scope", scope="a"`,
		`Bearer resource_metadata="https://wiki.example/x`:                                                  `Bearer`,
	} {
		h := http.Header{}
		if challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
		keepQuiet(h)
		if got := h.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s becomes %s, want %s", challenge, got, want)
		}
	}
}
