package deliver_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/deliver"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func sample(text string) token.Token {
	return token.Token{
		AccessToken: secret.New(text), Type: "Bearer", Server: "wiki", Resource: "https://wiki.example/mcp?a=1&b=<2>",
		AS: "https://as.example", Scopes: []string{"read", "write"},
		Expires: time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("somewhere", 3600)),
	}
}

func forms() map[string]deliver.Writer {
	all := map[string]deliver.Writer{}
	for name, w := range deliver.Headers {
		all["headers "+name] = w
	}
	for name, w := range deliver.Tokens {
		all["token "+name] = w
	}
	return all
}

func TestForms(t *testing.T) {
	want := map[string]string{
		"headers json":   `{"Authorization":"Bearer abc.DEF-1_~+/="}` + "\n",
		"headers header": "Authorization: Bearer abc.DEF-1_~+/=\n",
		"headers curl":   `header = "Authorization: Bearer abc.DEF-1_~+/="` + "\n",
		"headers bazel":  `{"headers":{"Authorization":["Bearer abc.DEF-1_~+/="]},"expires":"2026-01-02T02:04:05Z"}` + "\n",
		"token bare":     "abc.DEF-1_~+/=\n",
		"token json": `{"version":1,"server":"wiki","resource":"https://wiki.example/mcp?a=1&b=<2>","access_token":"abc.DEF-1_~+/=",` +
			`"token_type":"Bearer","expires_at":"2026-01-02T02:04:05Z","scope":"read write"}` + "\n",
		"token exec-credential": `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",` +
			`"status":{"token":"abc.DEF-1_~+/=","expirationTimestamp":"2026-01-02T02:04:05Z"}}` + "\n",
	}
	got := map[string]string{}
	for name, write := range forms() {
		var out bytes.Buffer
		if err := write(&out, sample("abc.DEF-1_~+/=")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got[name] = out.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A token that could leave its place in a header, a shell or a file is not
// printed in any form, and not shown in the error either (attack S26).
func TestUnprintableTokens(t *testing.T) {
	for _, bad := range []string{"", "a b", "a\nX-Evil: 1", "a\r", "a\tb", "a\x00", "a\x7f", "a\"b", `a\b`, "naïve", "a\u2028b", "\xff", " a", "a "} {
		for name, write := range forms() {
			var out bytes.Buffer
			err := write(&out, sample(bad))
			if err == nil || out.Len() > 0 {
				t.Errorf("%s of %q: error %v, output %q", name, bad, err, out.String())
			} else if len(bad) > 2 && strings.Contains(err.Error(), bad) {
				t.Errorf("%s: the error shows the token: %v", name, err)
			}
		}
	}
}

// What the writers let through survives the trip through each format.
func FuzzForms(f *testing.F) {
	for _, s := range []string{"abc", "a.b-c_d~e+f/g=", "a\"b", "a\nb", "{}", "'$(id)`", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range slices.Sorted(maps.Keys(forms())) {
			var out bytes.Buffer
			if forms()[name](&out, sample(text)) != nil {
				if out.Len() > 0 {
					t.Errorf("%s: an error and output", name)
				}
				continue
			}
			if n := strings.Count(out.String(), "\n"); n != 1 {
				t.Errorf("%s: %d lines", name, n)
			}
			switch name {
			case "headers json":
				var h map[string]string
				if err := json.Unmarshal(out.Bytes(), &h); err != nil || h["Authorization"] != "Bearer "+text {
					t.Errorf("%s: %v", name, err)
				}
			case "headers header":
				req, _ := http.NewRequest(http.MethodGet, "http://x.example", nil)
				k, v, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), ": ")
				req.Header.Set(k, v)
				if err := req.Header.Write(&bytes.Buffer{}); err != nil || v != "Bearer "+text {
					t.Errorf("%s: %v", name, err)
				}
			case "headers curl":
				if got := strings.TrimSuffix(strings.TrimPrefix(out.String(), `header = "Authorization: Bearer `), "\"\n"); got != text {
					t.Errorf("%s: %q", name, got)
				}
			}
		}
	})
}
