package discover

import (
	"net/url"
	"reflect"
	"testing"
)

// An error comes with nothing. What is accepted is on the server's own origin,
// and names only servers that one may talk to.
func FuzzResourceMetadata(f *testing.F) {
	f.Add(wiki, as("https://as.example"), false)
	f.Add(wiki, `{"resource":"https://wiki.example/","authorization_servers":"https://as.example"}`, false)
	f.Add("http://127.0.0.1:9/mcp", `{"resource":"http://127.0.0.1:9","authorization_servers":["http://localhost"]}`, true)
	f.Add(wiki, `{"resource":"https://wiki.example/team/%2e%2e","authorization_servers":["https://as.example"]}`, false)
	f.Fuzz(func(t *testing.T, server, body string, strict bool) {
		r, err := parseResource(server, server, []byte(body), strict)
		if err != nil {
			if !reflect.DeepEqual(r, Resource{}) {
				t.Errorf("%+v beside the error %v", r, err)
			}
			_ = err.Error()
			return
		}
		s, p := mustParse(t, server), mustParse(t, r.Identifier)
		if !sameOrigin(s, p) || strict && r.Identifier != server || (r.Match == MatchExact) != (r.Identifier == server) {
			t.Errorf("%q passes for %q as %q", r.Identifier, server, r.Match)
		}
		if len(r.AuthorizationServers) == 0 {
			t.Error("no authorization server")
		}
		for _, issuer := range r.AuthorizationServers {
			checkUsable(t, issuer, isLoopback(s))
			if u := mustParse(t, issuer); u.RawQuery != "" {
				t.Errorf("issuer %q", issuer)
			}
			if _, err := parseIssuer(issuer, true); err != nil {
				t.Errorf("AuthorizationServer will refuse %q: %v", issuer, err)
			}
		}
	})
}

// An error comes with nothing. What is accepted belongs to the issuer asked for,
// byte for byte, and every endpoint in it is one that a secret may be sent to.
func FuzzServerMetadata(f *testing.F) {
	f.Add(issuer, `{"issuer":"`+issuer+`","token_endpoint":"https://login.example/token"}`)
	f.Add(issuer, `{"issuer":"`+issuer+`/","token_endpoint":"https://login.example/token"}`)
	f.Add(issuer, `{"issuer":"`+issuer+`","token_endpoint":"https://login.example/token","jwks_uri":"http://x","scopes_supported":["a"]}`)
	f.Add("http://localhost:1", `{"issuer":"http://localhost:1","token_endpoint":"http://[::1]/t","code_challenge_methods_supported":[]}`)
	f.Fuzz(func(t *testing.T, want, body string) {
		m, err := parseServer(want, want, []byte(body))
		if err != nil {
			if !reflect.DeepEqual(m, ServerMetadata{}) {
				t.Errorf("%+v beside the error %v", m, err)
			}
			_ = err.Error()
			return
		}
		if m.Issuer != want || m.TokenEndpoint == "" || !m.TokenEndpointAuthMethodsStated && len(m.TokenEndpointAuthMethods) != 1 {
			t.Errorf("%+v passes for %q", m, want)
		}
		local := isLoopback(mustParse(t, want))
		for _, endpoint := range []string{m.TokenEndpoint, m.AuthorizationEndpoint, m.JWKSURI, m.RevocationEndpoint,
			m.EndSessionEndpoint, m.DeviceAuthorizationEndpoint, m.RegistrationEndpoint} {
			if endpoint != "" {
				checkUsable(t, endpoint, local)
			}
		}
	})
}

// checkUsable says the rules again, in other words than parseURL.
func checkUsable(t *testing.T, raw string, local bool) {
	t.Helper()
	u := mustParse(t, raw)
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		t.Errorf("unusable URL %q", raw)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && local && isLoopback(u)) {
		t.Errorf("unusable scheme in %q", raw)
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] >= 0x7f {
			t.Errorf("byte %#x in %q", raw[i], raw)
		}
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("accepted URL %q does not parse", raw)
	}
	return u
}
