// Package zitadel_test signs in at a certified OpenID provider that nobody here
// wrote: pkg/op of zitadel/oidc, run in-process with its example's pages.
//
// That provider knows token exchange and does not know ID-JAGs, so the flow
// goes as far as a refusal: sign-in, status, renewal with rotation, the
// refusal, and sign-out with revocation.
package zitadel_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

// The example's own person and secret.
const (
	userName     = "test-user2"
	userPassword = "verysecure"
	userSubject  = "id2"
	webSecret    = "not:a%20secret+at all"
)

func TestSignInRenewRefuseSignOut(t *testing.T) {
	redirectPort := freePort(t)
	idp := startProvider(t, redirectPort)
	server := startProtectedServer(t)

	for name, registration := range map[string]func(*laptop.Laptop) []string{
		"native client without a secret": func(*laptop.Laptop) []string {
			return []string{"--client-id", "native"}
		},
		// The secret holds every character that the two ways of writing
		// client_secret_basic disagree on (RFC 6749 section 2.3.1).
		"client with a secret and an exact redirect": func(l *laptop.Laptop) []string {
			return []string{"--client-id", "web", "--client-auth", "client_secret_basic",
				"--client-secret-file", l.File(t, "idp-secret", webSecret+"\n"),
				"--redirect-port", strconv.Itoa(redirectPort)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := laptop.New(t)
			seen := l.Browse(t, signInVerb)
			login := append([]string{"login", "--issuer", idp.Issuer,
				"--store", "file", "--store-key-file", l.Path("key")}, registration(l)...)
			l.Want(t, 0, login...)
			seen()
			checkStatus(t, l, idp.Issuer)

			l.Want(t, 0, "server", "add", "wiki", server, "--client-id", "mcpauth-at-wiki")
			l.Browser = "" // from here on a browser is an error

			// The first call finds an ID token about to expire, the second one a
			// refresh token that the first has rotated.
			for range 2 {
				before := idp.rotations()
				refused := l.Want(t, 7, "token", "wiki", "--fresh")
				if refused.Stdout != "" {
					t.Errorf("a refusal puts %d bytes on stdout", len(refused.Stdout))
				}
				if !strings.Contains(refused.Stderr, "hint: ") || !strings.HasPrefix(refused.Stderr, "mcpauth: ") {
					t.Errorf("a refusal says %q, want a fact and a hint", refused.Stderr)
				}
				if got := idp.rotations(); got != before+1 {
					t.Errorf("the ID token was renewed %d times, want once", got-before)
				}
			}

			l.Want(t, 0, "logout")
			if !idp.currentRevoked() {
				t.Error("the refresh token outlives the sign-out")
			}
			l.Want(t, 3, "token", "wiki", "--fresh")
		})
	}
}

// checkStatus looks for who is signed in and where: by host for people, by the
// exact issuer for programs.
func checkStatus(t *testing.T, l *laptop.Laptop, issuer string) {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(issuer, "http://"), "/")
	if table := l.Want(t, 0, "status").Stdout; !strings.Contains(table, host) || !strings.Contains(table, userSubject) {
		t.Errorf("status names %q or %q nowhere:\n%s", host, userSubject, table)
	}
	var status struct {
		SignIns []struct {
			Issuer, Subject string
			Renewable       bool
		}
	}
	text := l.Want(t, 0, "status", "--json").Stdout
	if err := json.Unmarshal([]byte(text), &status); err != nil || len(status.SignIns) != 1 {
		t.Fatalf("status --json: %v: %s", err, text)
	}
	if s := status.SignIns[0]; s.Issuer != issuer || s.Subject != userSubject || !s.Renewable {
		t.Errorf("status --json reports %+v", s)
	}
}

// startProtectedServer is what the flow needs to see before it asks the
// provider: an MCP server that refuses, says who it is, and names an
// authorization server, which is itself. Nothing is ever redeemed there.
func startProtectedServer(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer resource_metadata="%s/.well-known/oauth-protected-resource/mcp"`, server.URL))
		w.WriteHeader(http.StatusUnauthorized)
	})
	serve := func(path string, document map[string]any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document)
		})
	}
	serve("/.well-known/oauth-protected-resource/mcp", map[string]any{
		"resource": server.URL + "/mcp", "authorization_servers": []string{server.URL},
	})
	serve("/.well-known/oauth-authorization-server", map[string]any{
		"issuer": server.URL, "token_endpoint": server.URL + "/token",
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"token_endpoint_auth_methods_supported": []string{"none"},
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		t.Error("something was redeemed, though the provider issues no ID-JAG")
		w.WriteHeader(http.StatusBadRequest)
	})
	return server.URL + "/mcp"
}

// freePort finds a port for the client whose redirect address is registered in
// full. Another program could take it before mcpauth does; none does here.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
