// Package browser_test runs the whole flow with parties that nobody here wrote:
// panva's oidc-provider as identity provider and as authorization server, a
// go-sdk MCP server behind it, and Chromium with a person's hands.
//
// Start it with testdata/interop/run, which installs what it needs.
package browser_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

const (
	userName     = "alice"
	userPassword = "wonderland"
)

func TestSignInOnceAndUse(t *testing.T) {
	server := startMCPServer(t)
	parties := startProvider(t, server.Resource)
	server.protect(parties.AS.Issuer, parties.AS.JWKS)
	l := laptop.New(t)
	writeConfig(t, l, parties, server.Resource)

	seen := l.Browse(t, signInVerb)
	l.Want(t, 0, "login")
	keepScreens(t, "", seen())
	status := l.Want(t, 0, "status")
	for _, want := range []string{strings.TrimPrefix(parties.IdP.Issuer, "http://"), userName} {
		if !strings.Contains(status.Stdout, want) {
			t.Errorf("status does not name %q:\n%s", want, status.Stdout)
		}
	}
	parties.happened(t)

	// One exchange and one redemption serve every later call; from here on a
	// browser is an error.
	l.Browser = ""
	first := token(t, l)
	wantEvents(t, parties, event{Exchanged: userName}, event{Redeemed: userName})
	if second := token(t, l); second != first {
		t.Error("the second call returns another token")
	}
	var headers map[string]string
	if err := json.Unmarshal([]byte(l.Want(t, 0, "headers", "wiki").Stdout), &headers); err != nil || headers["Authorization"] != "Bearer "+first || len(headers) != 1 {
		t.Errorf("headers prints something else than the one header (%v)", err)
	}
	wantEvents(t, parties)
	useToken(t, server.Resource, first)

	// The identity provider changes its mind.
	parties.set(t, settings{Allowed: []string{}})
	refused := l.Want(t, 4, "token", "wiki", "--fresh")
	if refused.Stdout != "" || !strings.HasPrefix(refused.Stderr, "mcpauth: ") || !strings.Contains(refused.Stderr, "hint: ") {
		t.Errorf("a refusal says %q on stdout and %q on stderr", refused.Stdout, refused.Stderr)
	}
	wantEvents(t, parties, event{Party: "idp", Refused: "access_denied"})

	// ID tokens that expire at once: every new access token needs the refresh
	// token, which the identity provider rotates.
	parties.set(t, settings{IDTokenSeconds: 2, Allowed: []string{userName}})
	seen = l.Browse(t, signInVerb)
	l.Want(t, 0, "login")
	seen()
	l.Browser = ""
	parties.happened(t)
	for range 2 {
		useToken(t, server.Resource, token(t, l, "--fresh"))
		wantEvents(t, parties, event{Granted: "refresh_token"}, event{Exchanged: userName}, event{Redeemed: userName})
	}

	l.Want(t, 0, "logout")
	wantEvents(t, parties, event{Revoked: "refresh_token"})
	l.Want(t, 3, "token", "wiki")
	l.Want(t, 3, "headers", "wiki")
	wantEvents(t, parties)
}

// writeConfig is what an administrator would send around, with comments, and
// two secrets in files.
func writeConfig(t *testing.T, l *laptop.Laptop, p *provider, resource string) {
	t.Helper()
	l.Config(t, strings.NewReplacer(
		"IDP-ISSUER", p.IdP.Issuer, "IDP-CLIENT", p.IdP.ClientID, "IDP-SECRET", l.File(t, "idp-secret", p.IdP.ClientSecret+"\n"),
		"RESOURCE", resource, "AS-CLIENT", p.AS.ClientID, "AS-KEY", l.File(t, "wiki.pem", p.AS.ClientKey), "STORE-KEY", l.Path("key"),
	).Replace(`{
  // Panva Works
  "enterpriseManagedAuth": {
    "idp": {
      "issuer": "IDP-ISSUER", "clientId": "IDP-CLIENT",
      "clientAuth": { "method": "client_secret_basic", "secretFile": "IDP-SECRET" },
      "prompt": "consent" // this provider drops offline_access without it
    }
  },
  "mcpServers": {
    "wiki": {
      "type": "http", "url": "RESOURCE",
      "oauth": {
        "clientId": "AS-CLIENT", "scopes": ["wiki.read"],
        "clientAuth": { "method": "private_key_jwt", "keyFile": "AS-KEY", "keyId": "mcpauth-1" }
      }
    }
  },
  "store": { "kind": "file", "keyFile": "STORE-KEY" }
}
`))
}

func token(t *testing.T, l *laptop.Laptop, flags ...string) string {
	t.Helper()
	return strings.TrimSuffix(l.Want(t, 0, append([]string{"token", "wiki"}, flags...)...).Stdout, "\n")
}

func useToken(t *testing.T, resource, token string) {
	t.Helper()
	answer, err := callWhoami(t.Context(), resource, token)
	if err != nil || answer != "you are "+userName {
		t.Errorf("the tool answers %q, %v", answer, err)
	}
}

// wantEvents compares what happened at the provider with the members that want
// sets. A grant of token exchange stands in the log beside its exchange, and a
// grant is revoked with its last refresh token: both are left out.
func wantEvents(t *testing.T, p *provider, want ...event) {
	t.Helper()
	var got []event
	for _, e := range p.happened(t) {
		if strings.Contains(e.Granted, "token-exchange") || e.Revoked == "grant" {
			continue
		}
		got = append(got, e)
	}
	match := len(got) == len(want)
	for i := 0; match && i < len(want); i++ {
		w, g := want[i], got[i]
		match = (w.Party == "" || w.Party == g.Party) && w.Granted == g.Granted && w.Exchanged == g.Exchanged &&
			w.Redeemed == g.Redeemed && w.Refused == g.Refused && w.Revoked == g.Revoked
	}
	if !match {
		t.Errorf("at the provider happened %+v, want %+v", got, want)
	}
}

// keepScreens writes the pictures to the folder that SCREENS names, for people.
func keepScreens(t *testing.T, prefix string, page laptop.Page) {
	t.Helper()
	folder := os.Getenv("SCREENS")
	if folder == "" {
		return
	}
	for name, png := range page.Screens {
		if err := os.WriteFile(filepath.Join(folder, prefix+name+".png"), png, 0o600); err != nil {
			t.Error(err)
		}
	}
}
