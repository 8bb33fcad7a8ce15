package discover

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const issuer = "https://login.example/t"

func TestServerFields(t *testing.T) {
	const from = issuer + "/.well-known/openid-configuration?x"
	got, err := parseServer(issuer, from, []byte(`{"issuer":"`+issuer+`","token_endpoint":"https://token.login.example/t?v=2",
		"authorization_endpoint":"https://login.example/auth","jwks_uri":"https://login.example/jwks",
		"revocation_endpoint":"https://login.example/revoke","end_session_endpoint":"https://login.example/bye",
		"device_authorization_endpoint":"https://login.example/device","registration_endpoint":"https://login.example/reg",
		"grant_types_supported":["g"],"authorization_grant_profiles_supported":["p"],
		"token_endpoint_auth_methods_supported":["none"],"token_endpoint_auth_signing_alg_values_supported":["ES256"],
		"scopes_supported":["openid"],"code_challenge_methods_supported":["S256"],
		"id_token_signing_alg_values_supported":["RS256"],"identity_chaining_requested_token_types_supported":["j"],
		"authorization_response_iss_parameter_supported":true,"client_id_metadata_document_supported":true,
		"dpop_signing_alg_values_supported":["ES256","RS256"],
		"mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := ServerMetadata{
		Issuer: issuer, AuthorizationEndpoint: "https://login.example/auth", TokenEndpoint: "https://token.login.example/t?v=2",
		JWKSURI: "https://login.example/jwks", RevocationEndpoint: "https://login.example/revoke",
		EndSessionEndpoint: "https://login.example/bye", DeviceAuthorizationEndpoint: "https://login.example/device",
		RegistrationEndpoint: "https://login.example/reg",
		GrantTypes:           []string{"g"}, GrantProfiles: []string{"p"},
		TokenEndpointAuthMethods: []string{"none"}, TokenEndpointAuthMethodsStated: true,
		TokenEndpointAuthSigningAlgs: []string{"ES256"}, ScopesSupported: []string{"openid"},
		CodeChallengeMethods: []string{"S256"}, CodeChallengeMethodsStated: true,
		IDTokenSigningAlgs: []string{"RS256"}, IdentityChainingTokenTypes: []string{"j"},
		DPoPSigningAlgs:       []string{"ES256", "RS256"},
		IssParameterSupported: true, ClientIDMetadataDocument: true,
		Source: issuer + "/.well-known/openid-configuration",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got)\n%s", diff)
	}
}

// An identity provider need only say who it is and where tokens are, and what it
// does not say is not an error.
func TestServerMinimum(t *testing.T) {
	got, err := parseServer(issuer, issuer, []byte(`{"issuer":"`+issuer+`","token_endpoint":"https://login.example/token",
		"jwks_uri":null,"revocation_endpoint":""}`))
	want := ServerMetadata{Issuer: issuer, TokenEndpoint: "https://login.example/token",
		TokenEndpointAuthMethods: []string{"client_secret_basic"}, Source: issuer}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, metadata (-want +got)\n%s", err, diff)
	}
}

func TestTokenEndpoint(t *testing.T) {
	local := "http://127.0.0.1:9"
	for _, test := range []struct{ issuer, endpoint, want string }{
		{issuer, "https://login.example/token", ""},
		{issuer, "http://login.example/token", "plain http"},
		{issuer, "http://127.0.0.1/token", "named by another one"},
		{issuer, "https://u:p@login.example/token", "user name"},
		{issuer, "https://login.example/token#x", "fragment"},
		{issuer, "/token", "not an absolute URL"},
		{issuer, "token", "not an absolute URL"},
		{issuer, "https:token", "not an absolute URL"},
		{issuer, "file:///token", "not an absolute URL"},
		{local, "http://localhost:1/token", ""},
		{local, "http://login.example/token", "plain http"},
	} {
		_, err := parseServer(test.issuer, test.issuer, []byte(`{"issuer":"`+test.issuer+`","token_endpoint":"`+test.endpoint+`"}`))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s at %s: error = %v, want %q", test.endpoint, test.issuer, err, test.want)
		}
	}
}

// What is optional and unfit is named and left out, so that nobody follows it.
func TestUnusableEndpoints(t *testing.T) {
	m, err := parseServer(issuer, issuer, []byte(`{"issuer":"`+issuer+`","token_endpoint":"https://login.example/token",
		"authorization_endpoint":"javascript:alert(1)","jwks_uri":"http://login.example/jwks",
		"revocation_endpoint":"https://login.example/revoke"}`))
	if err != nil || m.AuthorizationEndpoint != "" || m.JWKSURI != "" || m.RevocationEndpoint == "" {
		t.Errorf("parseServer = %+v, %v", m, err)
	}
	if diff := cmp.Diff([]string{"authorization_endpoint", "jwks_uri"}, m.Unusable); diff != "" {
		t.Error(diff)
	}
}

func TestAuthorizationEndpointForeign(t *testing.T) {
	for _, test := range []struct {
		issuer, token, asks string
		foreign             bool
	}{
		{"https://as.example", "https://as.example/token", "https://as.example/authorize", false},
		{"https://cf.mcp.acme.example", "https://cf.mcp.acme.example/token", "https://mcp.acme.example/authorize", false},
		{"https://issuer.example", "https://api.acme.example/token", "https://www.acme.example/authorize", false},
		{"https://issuer.example", "https://issuer.example/token", "https://www.acme.example/authorize", true},
		{"http://127.0.0.1:1", "http://127.0.0.1:1/token", "http://127.0.0.1:1/authorize", false},
		{"http://127.0.0.1:1", "http://127.0.0.1:1/token", "http://127.0.0.1:2/authorize", true},
		{"http://127.0.0.1:1", "http://127.0.0.1:1/token", "http://localhost:1/authorize", false},
		{"https://as.example", "https://as.example/token", "", false},
		{"https://as.example", "https://as.example/token", "http://other.example/authorize", false}, // unusable
	} {
		body := fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q,"authorization_endpoint":%q}`, test.issuer, test.token, test.asks)
		m, err := parseServer(test.issuer, test.issuer+"/x", []byte(body))
		if err != nil || m.AuthorizationEndpointForeign != test.foreign {
			t.Errorf("%+v: foreign %v, %v", test, m.AuthorizationEndpointForeign, err)
		}
	}
}

func TestTokenEndpointForeign(t *testing.T) {
	for _, test := range []struct {
		issuer, endpoint string
		foreign          bool
	}{
		{"https://login.acme.example", "https://login.acme.example/token", false},
		{"https://login.acme.example", "https://LOGIN.acme.example:8443/token", false},
		{"https://login.acme.example", "https://api.acme.example/token", false},
		{"https://acme.example", "https://token.eu.acme.example/token", false},
		{"https://login.acme.co.uk", "https://api.acme.co.uk/token", false},
		{"https://login.acme.co.uk", "https://evil.co.uk/token", true},
		{"https://acme.co.uk", "https://co.uk/token", true},
		{"https://login.acme.example", "https://acme.evil.example/token", true},
		{"https://acme.example", "https://notacme.example/token", true},
		{"https://sso", "https://sso/token", false},
		{"https://sso", "https://token/token", true},
		{"https://192.0.2.1", "https://198.51.2.1/token", true},
		{"https://192.0.2.1", "https://192.0.2.1/token", false},
	} {
		m, err := parseServer(test.issuer, test.issuer, []byte(`{"issuer":"`+test.issuer+`","token_endpoint":"`+test.endpoint+`"}`))
		if err != nil || m.TokenEndpointForeign != test.foreign {
			t.Errorf("%s at %s: foreign %v, %v", test.endpoint, test.issuer, m.TokenEndpointForeign, err)
		}
	}
}
