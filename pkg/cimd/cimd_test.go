package cimd_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/cimd"
)

const home = "https://acme.example/mcpauth.json"

// key makes a private key with a key ID.
func key(t testing.TB, id string) jose.JSONWebKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

func encode(t testing.TB, d cimd.Document) []byte {
	t.Helper()
	body, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// With a key there is nothing to say about what Generate makes; without one, that
// anybody can be the client. What was written reads back as it was.
func TestGenerate(t *testing.T) {
	first, second := key(t, "one"), key(t, "two")
	for name, tt := range map[string]struct {
		options cimd.Options
		want    []string
	}{
		"as it comes":      {cimd.Options{URL: home}, []string{"public-client"}},
		"keys":             {cimd.Options{URL: home, Keys: []jose.JSONWebKey{first, second}}, nil},
		"keys elsewhere":   {cimd.Options{URL: home, JWKSURI: "https://acme.example/jwks.json"}, nil},
		"all of it":        {cimd.Options{URL: home, Name: "Acme", ClientURI: "https://acme.example/", LogoURI: "https://cdn.example/l.png", Scope: "a b", Keys: []jose.JSONWebKey{first}}, nil},
		"localhost":        {cimd.Options{URL: home, Keys: []jose.JSONWebKey{first}, RedirectURIs: []string{"http://localhost/callback"}}, []string{"redirect-localhost"}},
		"with two sources": {cimd.Options{URL: home, Keys: []jose.JSONWebKey{first}, JWKSURI: "https://acme.example/k"}, []string{"keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := cimd.Generate(tt.options)
			body := encode(t, d)
			if diff := cmp.Diff(tt.want, rules(cimd.Lint(home, body))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, body)
			}
			if strings.Contains(string(body), `"d":`) {
				t.Errorf("a private half:\n%s", body)
			}
			back, err := cimd.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(body), string(encode(t, back))); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
			if tt.options.JWKSURI == "" || tt.options.Keys == nil {
				if list := cimd.Compare(back, d); list != nil {
					t.Errorf("differs from itself: %v", list)
				}
			}
		})
	}
}

func TestGenerateDefaults(t *testing.T) {
	want := `{
  "client_id": "https://acme.example/mcpauth.json",
  "client_name": "mcpauth",
  "application_type": "native",
  "redirect_uris": [
    "http://127.0.0.1/callback",
    "http://[::1]/callback"
  ],
  "grant_types": [
    "authorization_code",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange"
  ],
  "response_types": [
    "code"
  ],
  "token_endpoint_auth_method": "none",
  "authorization_grant_profiles_supported": [
    "urn:ietf:params:oauth:grant-profile:id-jag"
  ]
}
`
	if diff := cmp.Diff(want, string(encode(t, cimd.Generate(cimd.Options{URL: home})))); diff != "" {
		t.Error(diff)
	}
}

// A private key, or a shared secret, never gets into what is published.
func TestPublicKeys(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := cimd.PublicKeys([]jose.JSONWebKey{{Key: private, KeyID: "ed"}, {Key: []byte("hunter2"), KeyID: "secret"}, key(t, "ec")})
	text, err := json.Marshal(set)
	if err != nil || len(set.Keys) != 2 || strings.Contains(string(text), `"d"`) || strings.Contains(string(text), "secret") {
		t.Errorf("%s, %v", text, err)
	}
	// Nor out of one that somebody else published.
	whole, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key(t, "leaked")}})
	if err != nil || !strings.Contains(string(whole), `"d"`) {
		t.Fatalf("%s, %v", whole, err)
	}
	back, err := cimd.ParseKeys(whole)
	if err != nil || len(back.Keys) != 1 || !back.Keys[0].IsPublic() {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for body, want := range map[string]string{
		``:                                     "not valid JSON",
		`[]`:                                   "not a JSON object",
		`{"client_id":"a","client_id":"b"}`:    `"client_id" stands twice`,
		`{"client_id":7}`:                      `"client_id" is not a string`,
		`{"redirect_uris":"http://127.0.0.1"}`: `"redirect_uris" is not an array of strings`,
		`{"grant_types":[1]}`:                  `"grant_types" is not an array of strings`,
		`{"jwks":{}}`:                          `"jwks" is not a JSON Web Key Set`,
	} {
		d, err := cimd.Parse([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) || !cmp.Equal(d, cimd.Document{}) {
			t.Errorf("%s: %+v, %v", body, d, err)
		}
	}
}

func TestCompare(t *testing.T) {
	now, next := key(t, "now"), key(t, "next")
	ours := cimd.Generate(cimd.Options{URL: home, Keys: []jose.JSONWebKey{now, next}})
	for name, tt := range map[string]struct {
		change func(published, generated *cimd.Document)
		want   []string
	}{
		"nothing": {func(_, _ *cimd.Document) {}, nil},
		"what is for people": {func(p, _ *cimd.Document) {
			p.ClientName, p.LogoURI, p.ClientURI = "Acme's agents", "https://acme.example/l", "https://acme.example/"
		}, nil},
		"more than we need": {func(p, _ *cimd.Document) {
			p.RedirectURIs = append(p.RedirectURIs, "http://localhost/callback")
			p.GrantTypes = append(p.GrantTypes, "client_credentials")
		}, nil},
		"another port": {func(p, _ *cimd.Document) {
			p.RedirectURIs = []string{"http://127.0.0.1:8400/callback", "http://[::1]:1/callback"}
		}, nil},
		"our port":       {func(_, g *cimd.Document) { g.RedirectURIs = []string{"http://127.0.0.1:8400/callback"} }, nil},
		"another path":   {func(p, _ *cimd.Document) { p.RedirectURIs[0] = "http://127.0.0.1/cb" }, []string{"differs-redirect-uri"}},
		"another host":   {func(p, _ *cimd.Document) { p.RedirectURIs[0] = "http://localhost/callback" }, []string{"differs-redirect-uri"}},
		"another client": {func(p, _ *cimd.Document) { p.ClientID += "x" }, []string{"differs-client-id"}},
		"no proof there": {func(p, _ *cimd.Document) { p.TokenEndpointAuthMethod = "" }, []string{"differs-auth-method"}},
		"no proof here":  {func(_, g *cimd.Document) { g.TokenEndpointAuthMethod, g.JWKS = "none", nil }, []string{"differs-auth-method"}},
		"not known here": {func(_, g *cimd.Document) { g.TokenEndpointAuthMethod, g.JWKS, g.ClientID = "", nil, "" }, nil},
		"current key":    {func(p, _ *cimd.Document) { p.JWKS.Keys = p.JWKS.Keys[1:] }, []string{"differs-keys error"}},
		"next key":       {func(p, _ *cimd.Document) { p.JWKS.Keys = p.JWKS.Keys[:1] }, []string{"differs-keys warning"}},
		"key ID":         {func(p, _ *cimd.Document) { p.JWKS.Keys[0].KeyID = "other" }, []string{"differs-key-id"}},
		"keys elsewhere": {func(p, _ *cimd.Document) { p.JWKS, p.JWKSURI = nil, "https://acme.example/k" }, nil},
		"grants": {func(p, _ *cimd.Document) {
			p.GrantTypes = p.GrantTypes[:2]
		}, []string{"differs-grant-types", "differs-grant-types"}},
		"profile": {func(p, _ *cimd.Document) { p.GrantProfiles = nil }, []string{"differs-grant-profile"}},
	} {
		t.Run(name, func(t *testing.T) {
			published, err := cimd.Parse(encode(t, ours))
			if err != nil {
				t.Fatal(err)
			}
			generated := ours
			tt.change(&published, &generated)
			list := cimd.Compare(published, generated)
			var got []string
			for i, f := range list {
				if i < len(tt.want) && strings.Contains(tt.want[i], " ") {
					f.Rule += " " + string(f.Severity)
				}
				got = append(got, f.Rule)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, list)
			}
		})
	}
}

func rules(list []cimd.Finding) (names []string) {
	for _, f := range list {
		names = append(names, f.Rule)
	}
	return names
}
