package cimd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/cimd"
)

// Each URL breaks what stands beside it, and nothing else.
func TestLintURL(t *testing.T) {
	for url, want := range map[string][]string{
		home:                                     nil,
		"https://acme.example:8443/a/b":          nil,
		"https://acme.example/a%20b/":            nil,
		"http://acme.example/mcpauth.json":       {"url-https error"},
		"https://acme.example":                   {"url-path error"},
		"https://acme.example/":                  {"url-path error"},
		"https://acme.example/a/../mcpauth.json": {"url-dots error"},
		"https://acme.example/./mcpauth.json":    {"url-dots error"},
		"https://acme.example/a/%2e%2E/m.json":   {"url-dots error"},
		"https://acme.example/a/..":              {"url-dots error"},
		"https://acme.example/..json":            nil,
		"https://user@acme.example/m.json":       {"url-user error"},
		"https://user:pass@acme.example/m.json":  {"url-user error"},
		"https://acme.example/m.json#a":          {"url-fragment error"},
		"https://acme.example/m.json#":           {"url-fragment error"},
		"https://acme.example/m.json?v=1":        {"url-query warning"},
		"https://acme.example/m.json?":           {"url-query warning"},
		"https://ACME.example/m.json":            {"url-normal warning"},
		"HTTPS://acme.example/m.json":            {"url-normal warning"},
		"https://acme.example:443/m.json":        {"url-normal warning"},
		"https://acme.example:/m.json":           {"url-normal warning"},
		"https://127.0.0.1/m.json":               {"url-host warning"},
		"https://[::1]:8443/m.json":              {"url-host warning"},
		"https://10.1.2.3/m.json":                {"url-host warning"},
		"https://169.254.169.254/m.json":         {"url-host warning"},
		"https://localhost/m.json":               {"url-host warning"},
		"https://intranet/m.json":                {"url-host warning"},
		"http://127.0.0.1:80/m.json":             {"url-https error", "url-host warning"},
		"https://a.example/" + longest:           {"url-long warning"},
		"":                                       {"url error"},
		"mcpauth":                                {"url error"},
		"/mcpauth.json":                          {"url error"},
		"https:///mcpauth.json":                  {"url error"},
		"https:acme.example/x":                   {"url error"},
		"ftp://acme.example/m.json":              {"url error"},
		"javascript:alert(1)//":                  {"url error"},
		"https://acme.example/a b":               {"url error"},
		"https://acme.example/ä":                 {"url error"},
		"https://acme.example\\@evil.example/m":  {"url error"},
		"https://acme.example/m\x1b[2J":          {"url error"},
	} {
		if diff := cmp.Diff(want, severities(cimd.LintURL(url))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", url, diff)
		}
	}
}

var longest = strings.Repeat("x", 128)

// shortRSA is the public half of a key of 1024 bits.
var shortRSA = set{"kty": "RSA", "kid": "short", "e": "AQAB", "n": strings.Repeat("_", 171) + "w"}

// set changes one member of a document that is right; a nil value takes it out.
type set map[string]any

// Each row breaks the rule that stands beside it, and nothing else.
func TestLint(t *testing.T) {
	one, two := key(t, "one"), key(t, "two")
	pub := func(k jose.JSONWebKey) map[string]any { return members(t, k.Public()) }
	with := func(m map[string]any, more set) map[string]any {
		m = merge(m, more)
		return map[string]any{"keys": []any{m}}
	}
	const (
		bearer = cimd.GrantJWTBearer
		change = cimd.GrantTokenExchange
	)
	none := set{"token_endpoint_auth_method": "none", "jwks": nil}
	for _, tt := range []struct {
		name string
		set  set
		want []string
	}{
		{"right", set{}, nil},
		{"unknown members", set{"x": 1, "client_name#de": "Acme", "contacts": []string{"it@acme.example"}}, nil},

		{"no client_id", set{"client_id": nil}, []string{"client-id error"}},
		{"null client_id", set{"client_id": json.RawMessage("null")}, []string{"client-id error"}},
		{"another client_id", set{"client_id": "https://evil.example/m.json"}, []string{"client-id error"}},
		{"almost the client_id", set{"client_id": home + "/"}, []string{"client-id error"}},
		{"client_id in capitals", set{"client_id": strings.ToUpper(home)}, []string{"client-id error"}},
		{"client_id of another type", set{"client_id": 7}, []string{"client-id error", "member-type error"}},
		{"no name", set{"client_name": nil}, []string{"client-name error"}},
		{"blank name", set{"client_name": " "}, []string{"client-name error"}},
		{"name of another type", set{"client_name": []string{"x"}}, []string{"member-type error"}},
		{"name with an escape", set{"client_name": "Acme\x1b[2J"}, []string{"client-name error"}},
		{"name turned around", set{"client_name": "Acme\u202e"}, []string{"client-name error"}},
		{"long name", set{"client_name": strings.Repeat("é", 61)}, []string{"client-name warning"}},

		{"a secret", set{"client_secret": "hunter2"}, []string{"no-secrets error"}},
		{"the end of a secret", set{"client_secret_expires_at": 0}, []string{"no-secrets error"}},
		{"a registration token", set{"registration_access_token": "hunter2"}, []string{"no-secrets error"}},
		{"basic", both(none, set{"token_endpoint_auth_method": "client_secret_basic"}), []string{"auth-method error"}},
		{"post", both(none, set{"token_endpoint_auth_method": "client_secret_post"}), []string{"auth-method error"}},
		{"jwt", both(none, set{"token_endpoint_auth_method": "client_secret_jwt"}), []string{"auth-method error"}},
		{"public", none, []string{"public-client warning"}},
		{"public, consent only", both(none, set{"grant_types": []string{"authorization_code", "refresh_token"}, "authorization_grant_profiles_supported": nil}), nil},
		{"no method", both(none, set{"token_endpoint_auth_method": nil}), []string{"public-client warning", "auth-method warning"}},
		{"mtls", both(none, set{"token_endpoint_auth_method": "tls_client_auth"}), nil},
		{"odd method", both(none, set{"token_endpoint_auth_method": "magic"}), []string{"auth-method warning"}},
		{"no algorithm", set{"token_endpoint_auth_signing_alg": "none"}, []string{"auth-alg error", "jwks-alg warning", "jwks error"}},
		{"symmetric algorithm", set{"token_endpoint_auth_signing_alg": "HS256"}, []string{"auth-alg error", "jwks-alg warning", "jwks error"}},
		{"another algorithm", set{"token_endpoint_auth_signing_alg": "RS256"}, []string{"jwks-alg warning", "jwks error"}},
		{"its algorithm", set{"token_endpoint_auth_signing_alg": "ES256"}, nil},

		{"no keys", set{"jwks": nil}, []string{"keys error"}},
		{"keys for nothing", set{"token_endpoint_auth_method": "none"}, []string{"public-client warning", "keys warning"}},
		{"keys twice", set{"jwks_uri": "https://acme.example/jwks.json"}, []string{"keys error"}},
		{"keys elsewhere", set{"jwks": nil, "jwks_uri": "https://acme.example/jwks.json"}, nil},
		{"keys at another host", set{"jwks": nil, "jwks_uri": "https://cdn.example/jwks.json"}, []string{"jwks-uri warning"}},
		{"keys by http", set{"jwks": nil, "jwks_uri": "http://acme.example/jwks.json"}, []string{"jwks-uri error"}},
		{"keys in a file", set{"jwks": nil, "jwks_uri": "file:///etc/passwd"}, []string{"jwks-uri error"}},
		{"keys with a user", set{"jwks": nil, "jwks_uri": "https://u@acme.example/k"}, []string{"jwks-uri error"}},
		{"keys of another type", set{"jwks": "x"}, []string{"jwks error"}},
		{"no list of keys", set{"jwks": set{}}, []string{"jwks error"}},
		{"an empty list", set{"jwks": set{"keys": []any{}}}, []string{"jwks error"}},
		{"not a key", set{"jwks": set{"keys": []any{7}}}, []string{"jwks error", "jwks error"}},
		{"a private key", set{"jwks": with(members(t, one), nil)}, []string{"jwks-private error", "jwks error"}},
		{"a private key in part", set{"jwks": with(pub(one), set{"d": ""})}, []string{"jwks-private error", "jwks error"}},
		{"a shared secret", set{"jwks": set{"keys": []any{set{"kty": "oct", "k": "aHVudGVyMg"}, pub(one)}}}, []string{"jwks-secret error"}},
		{"an odd key beside a good one", set{"jwks": set{"keys": []any{pub(one), set{"kty": "PQC"}}}}, []string{"jwks warning"}},
		{"a point not on the curve", set{"jwks": with(pub(one), set{"x": pub(two)["x"]})}, []string{"jwks warning", "jwks error"}},
		{"a short RSA key", set{"jwks": with(nil, shortRSA)}, []string{"jwks-weak error", "jwks error"}},
		{"no kid", set{"jwks": with(pub(one), set{"kid": nil})}, []string{"jwks-kid warning"}},
		{"kids alike", set{"jwks": set{"keys": []any{pub(one), merge(pub(two), set{"kid": "one"})}}}, []string{"jwks-kid error"}},
		{"two keys", set{"jwks": set{"keys": []any{pub(one), pub(two)}}}, nil},
		{"for encryption", set{"jwks": with(pub(one), set{"use": "enc"})}, []string{"jwks error"}},

		{"no redirect URIs", set{"redirect_uris": nil}, []string{"redirect-uris error"}},
		{"empty redirect URIs", set{"redirect_uris": []string{}}, []string{"redirect-uris error"}},
		{"one string", set{"redirect_uris": "http://127.0.0.1/callback"}, []string{"member-type error"}},
		{"a number among them", set{"redirect_uris": []any{"http://127.0.0.1/callback", 7}}, []string{"member-type error"}},
		{"https at home", set{"redirect_uris": []string{"https://acme.example/cb"}}, nil},
		{"https elsewhere", set{"redirect_uris": []string{"https://other.example/cb"}}, []string{"redirect-host warning"}},
		{"http elsewhere", set{"redirect_uris": []string{"http://acme.example/cb"}}, []string{"redirect-uri error"}},
		{"like loopback", set{"redirect_uris": []string{"http://127.0.0.1.example/cb"}}, []string{"redirect-uri error"}},
		{"own scheme", set{"redirect_uris": []string{"cursor://callback"}}, []string{"redirect-uri error"}},
		{"javascript", set{"redirect_uris": []string{"javascript:alert(1)"}}, []string{"redirect-uri error"}},
		{"relative", set{"redirect_uris": []string{"/callback"}}, []string{"redirect-uri error"}},
		{"fragment", set{"redirect_uris": []string{"http://127.0.0.1/callback#"}}, []string{"redirect-uri error"}},
		{"user", set{"redirect_uris": []string{"http://u@127.0.0.1/callback"}}, []string{"redirect-uri error"}},
		{"wildcard", set{"redirect_uris": []string{"http://127.0.0.1/*"}}, []string{"redirect-uri error"}},
		{"dots", set{"redirect_uris": []string{"http://127.0.0.1/a/../callback"}}, []string{"redirect-uri error"}},
		{"a space", set{"redirect_uris": []string{"http://127.0.0.1/call back"}}, []string{"redirect-uri error"}},
		{"localhost", set{"redirect_uris": []string{"http://localhost/callback"}}, []string{"redirect-localhost warning"}},
		{"a port", set{"redirect_uris": []string{"http://[::1]:8400/callback"}}, []string{"redirect-port warning"}},
		{"twice", set{"redirect_uris": []string{"http://127.0.0.1/callback", "http://127.0.0.1/callback"}}, []string{"redirect-twice warning"}},
		{"web application", set{"application_type": "web"}, []string{"application-type warning"}},
		{"no application type", set{"application_type": nil}, []string{"application-type warning"}},
		{"no application type, https", set{"application_type": nil, "redirect_uris": []string{"https://acme.example/cb"}}, nil},
		{"odd application type", set{"application_type": "desktop"}, []string{"application-type error"}},

		{"no grants", set{"grant_types": nil, "response_types": nil}, []string{"grant-types warning", "grant-profile error"}},
		{"implicit", set{"grant_types": []string{"authorization_code", "refresh_token", bearer, change, "implicit"}}, []string{"grant-types error"}},
		{"password", set{"grant_types": []string{"authorization_code", "refresh_token", bearer, change, "password"}}, []string{"grant-types error"}},
		{"no refresh", set{"grant_types": []string{"authorization_code", bearer, change}}, []string{"refresh-token warning"}},
		{"no bearer", set{"grant_types": []string{"authorization_code", "refresh_token", change}}, []string{"grant-profile error"}},
		{"no exchange", set{"grant_types": []string{"authorization_code", "refresh_token", bearer}}, []string{"grant-profile warning"}},
		{"no profile", set{"authorization_grant_profiles_supported": nil}, []string{"grant-profile warning"}},
		{"nobody's credentials", both(none, set{"grant_types": []string{"client_credentials"}, "authorization_grant_profiles_supported": nil}), []string{"grant-types error"}},
		{"own credentials", set{"grant_types": []string{"client_credentials"}, "authorization_grant_profiles_supported": nil}, nil},
		{"grants as a string", set{"grant_types": "authorization_code"}, []string{"grant-profile error", "member-type error"}},
		{"no response types", set{"response_types": nil}, nil},
		{"no code", set{"response_types": []string{}}, []string{"response-types error"}},
		{"token", set{"response_types": []string{"code", "token"}}, []string{"response-types warning"}},
		{"scope", set{"scope": "read write:all"}, nil},
		{"scope with two spaces", set{"scope": "read  write"}, []string{"scope error"}},
		{"scope as a list", set{"scope": []string{"read"}}, []string{"member-type error"}},

		{"page", set{"client_uri": "https://acme.example/about", "tos_uri": "https://legal.example/"}, nil},
		{"page elsewhere", set{"client_uri": "https://bank.example/"}, []string{"page-host warning"}},
		{"plain page", set{"policy_uri": "http://acme.example/"}, []string{"page warning"}},
		{"logo that runs", set{"logo_uri": "javascript:alert(1)"}, []string{"page error"}},
		{"logo inside", set{"logo_uri": "data:image/png;base64,AA"}, []string{"page error"}},
		{"size", set{"padding": strings.Repeat("x", cimd.MaxSize)}, []string{"size warning"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			good := members(t, cimd.Generate(cimd.Options{URL: home, Keys: []jose.JSONWebKey{one}}))
			body, err := json.Marshal(merge(good, tt.set))
			if err != nil {
				t.Fatal(err)
			}
			list := cimd.Lint(home, body)
			if diff := cmp.Diff(tt.want, severities(list)); diff != "" {
				t.Errorf("(-want +got):\n%s%v", diff, list)
			}
			wantBroken := slices.ContainsFunc(tt.want, func(w string) bool { return strings.HasSuffix(w, " error") })
			if cimd.Broken(list) != wantBroken {
				t.Errorf("Broken = %v", !wantBroken)
			}
			for _, f := range list {
				if strings.Contains(f.Message, "hunter2") || f.Source == "" || strings.HasSuffix(f.Message, ".") {
					t.Errorf("odd message: %s", f)
				}
			}
		})
	}
}

// What is not one JSON object is looked at no further.
func TestLintNoDocument(t *testing.T) {
	for _, body := range []string{"", "<html>", "[]", "null", "{}{}", `{"a":1,"a":2}`, `{"client_id":"\ud800"`, "\xff", strings.Repeat("[", 100)} {
		if diff := cmp.Diff([]string{"json error"}, severities(cimd.Lint(home, []byte(body)))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	}
}

// What people have to see, they are told.
func TestMessages(t *testing.T) {
	doc := cimd.Generate(cimd.Options{URL: home + "/", Name: "x"})
	list := cimd.Lint(home, encode(t, doc))
	if len(list) == 0 || !strings.HasSuffix(list[0].Message, "; only the slash at the end differs") {
		t.Errorf("got %v", list)
	}
	want := fmt.Sprintf("error [client-id] %s (client-id-metadata-document section 4.1)", list[0].Message)
	if list[0].String() != want {
		t.Errorf("%q, want %q", list[0], want)
	}
}

func TestLintKeys(t *testing.T) {
	good, err := json.Marshal(cimd.PublicKeys([]jose.JSONWebKey{key(t, "one")}))
	if err != nil {
		t.Fatal(err)
	}
	if list := cimd.LintKeys(good, "ES256"); list != nil {
		t.Errorf("got %v", list)
	}
	for _, body := range []string{"", "{}", `{"keys":[]}`, `{"keys":7}`} {
		if diff := cmp.Diff([]string{"jwks error"}, severities(cimd.LintKeys([]byte(body), ""))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	}
}

// FuzzLint: a document without errors is one that can be read, that is about its
// URL, and that holds no secret; every finding is a line that a terminal can be
// shown; the same document gets the same findings.
func FuzzLint(f *testing.F) {
	good := encode(f, cimd.Generate(cimd.Options{URL: home, Keys: []jose.JSONWebKey{key(f, "one")}}))
	f.Add(home, good)
	f.Add("https://a.example/x#", []byte(`{"client_id":"https://a.example/x#","redirect_uris":["a:b"],"jwks":{"keys":[{"kty":"oct","k":"x"}]}}`))
	f.Add("http://[::1]:x/%2e", []byte(`{"client_name":"\u202e","scope":" ","logo_uri":"//x","jwks_uri":"%"}`))
	f.Fuzz(func(t *testing.T, url string, body []byte) {
		list := cimd.Lint(url, body)
		for _, f := range list {
			line := f.String()
			if f.Rule == "" || f.Message == "" || f.Source == "" || f.Severity != cimd.Error && f.Severity != cimd.Warning {
				t.Errorf("unfinished: %+v", f)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is not one line that can be seen", line)
			}
		}
		if diff := cmp.Diff(list, cimd.Lint(url, body)); diff != "" {
			t.Errorf("not the same twice: %s", diff)
		}
		doc, err := cimd.Parse(body)
		if err == nil {
			cimd.Compare(doc, cimd.Generate(cimd.Options{URL: url}))
		}
		if cimd.Broken(list) {
			return
		}
		if err != nil || doc.ClientID != url || len(doc.RedirectURIs) == 0 || doc.ClientName == "" {
			t.Errorf("nothing broken about %q and %s: %v", url, body, err)
		}
		var any map[string]json.RawMessage
		if err := json.Unmarshal(body, &any); err != nil || any["client_secret"] != nil && string(any["client_secret"]) != "null" {
			t.Errorf("a secret in %s", body)
		}
		if !strings.HasPrefix(strings.ToLower(url), "https://") {
			t.Errorf("%q passes", url)
		}
	})
}

func severities(list []cimd.Finding) (names []string) {
	for _, f := range list {
		names = append(names, f.Rule+" "+string(f.Severity))
	}
	return names
}

// members is the JSON object of v.
func members(t testing.TB, v any) (m map[string]any) {
	t.Helper()
	body, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// both are the changes of two, the second one's first.
func both(a, b set) set {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func merge(m map[string]any, more set) map[string]any {
	out := map[string]any{}
	maps.Copy(out, m)
	for k, v := range more {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}
