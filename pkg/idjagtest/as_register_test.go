package idjagtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// native is a registration as a careful program sends it.
func native(method string) map[string]any {
	return map[string]any{
		"application_type":           "native",
		"client_name":                "mcpauth",
		"redirect_uris":              []string{"http://127.0.0.1/callback/abc"},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": method,
	}
}

func postJSON(t *testing.T, endpoint string, body any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return send(t, req)
}

// A program that registers itself goes through the consent and refreshes.
func TestRegistrationFlow(t *testing.T) {
	for _, method := range []string{idjagtest.AuthNone, idjagtest.AuthBasic, idjagtest.AuthPost} {
		t.Run(method, func(t *testing.T) {
			c := idjagtest.New(t, idjagtest.Standard)
			metadata := get(t, c.AS.MetadataURL())
			if got := fmt.Sprint(metadata.body["token_endpoint_auth_methods_supported"]); got != "[client_secret_basic client_secret_post none]" {
				t.Errorf("methods are %s", got)
			}
			got := postJSON(t, metadata.text("registration_endpoint"), native(method))
			if got.status != 201 || got.text("client_id") == "" || got.text("registration_client_uri") == "" || got.text("registration_access_token") == "" {
				t.Fatalf("registration: %d %s", got.status, got.raw)
			}
			secret := got.text("client_secret")
			if hasSecret := method != idjagtest.AuthNone; (secret != "") != hasSecret || (got.body["client_secret_expires_at"] == float64(0)) != hasSecret {
				t.Errorf("registration: %s", got.raw)
			}
			client := idjagtest.Client{ID: got.text("client_id"), Secret: secret, Method: method}
			form := consentForm(c)
			form.Set("client_id", client.ID)
			form.Set("redirect_uri", "http://127.0.0.1:5000/callback/abc")
			code := asCodeForm(c, consented(t, c, form).Get("code"))
			code.Set("redirect_uri", form.Get("redirect_uri"))
			if method != idjagtest.AuthBasic {
				client.Secret = ""
				code.Set("client_id", client.ID)
			}
			if method == idjagtest.AuthPost {
				code.Set("client_secret", secret)
			}
			if tokens := post(t, c.AS.TokenEndpoint(), client, code); tokens.status != 200 || tokens.text("refresh_token") == "" {
				t.Errorf("code grant: %d %s; %v", tokens.status, tokens.raw, c.Refusals())
			}
			if list := c.AS.Registered(); len(list) != 1 || list[0].ID != client.ID || list[0].Secret != secret {
				t.Errorf("registered are %v", list)
			}
			c.AS.RemoveClient(client.ID)
			refused(t, post(t, c.AS.TokenEndpoint(), client, code), 401, "invalid_client", "not registered", c.AS.Refusals())
		})
	}
}

func TestRegistrationRecord(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	postJSON(t, c.AS.RegistrationEndpoint(), native(idjagtest.AuthNone))
	requests := c.AS.Requests()
	if r := requests[len(requests)-1]; r.What != idjagtest.Register || r.Form.Get("application_type") != "native" ||
		fmt.Sprint(r.Form["grant_types"]) != "[authorization_code refresh_token]" || r.Client == "" || r.Status != 201 {
		t.Errorf("recorded %+v", r)
	}
	if c := idjagtest.New(t); get(t, c.AS.RegistrationEndpoint()).status != 404 {
		t.Error("registration is open by default")
	}
}

func TestRegistrationRefuses(t *testing.T) {
	put := func(name string, value any) func(map[string]any) { return func(m map[string]any) { m[name] = value } }
	key, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		bend func(map[string]any)
		code string
		why  string
	}{
		{"no application_type", put("application_type", nil), "invalid_client_metadata", "application_type"},
		{"web", put("application_type", "web"), "invalid_client_metadata", "application_type"},
		{"own client_id", put("client_id", "me"), "invalid_client_metadata", "server's to choose"},
		{"own secret", put("client_secret", "me"), "invalid_client_metadata", "server's to choose"},
		{"implicit", put("response_types", []string{"code", "token"}), "invalid_client_metadata", "response_types"},
		{"only refresh", put("grant_types", []string{"refresh_token"}), "invalid_client_metadata", "lacks authorization_code"},
		{"client credentials", put("grant_types", []string{"authorization_code", "client_credentials"}), "invalid_client_metadata", "not open to registrations"},
		{"unknown method", put("token_endpoint_auth_method", "client_secret_jwt"), "invalid_client_metadata", "token_endpoint_auth_method"},
		{"foreign scope", put("scope", "read admin"), "invalid_client_metadata", `scope "admin"`},
		{"members of other types", put("redirect_uris", "http://127.0.0.1/callback"), "invalid_client_metadata", "not a JSON object"},
		{"no redirect", put("redirect_uris", nil), "invalid_redirect_uri", "missing"},
		{"https", put("redirect_uris", []string{"https://127.0.0.1/callback"}), "invalid_redirect_uri", "its scheme"},
		{"remote", put("redirect_uris", []string{"http://127.0.0.1/callback", "http://app.example/callback"}), "invalid_redirect_uri", "not loopback"},
		{"fragment", put("redirect_uris", []string{"http://127.0.0.1/callback#x"}), "invalid_redirect_uri", "fragment"},
		{"query", put("redirect_uris", []string{"http://127.0.0.1/callback?x=y"}), "invalid_redirect_uri", "query"},
		{"keys are missing", put("token_endpoint_auth_method", idjagtest.AuthPrivateKeyJWT), "invalid_client_metadata", "no key"},
		{"a private key", func(m map[string]any) {
			m["token_endpoint_auth_method"] = idjagtest.AuthPrivateKeyJWT
			m["jwks"] = map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}}}
		}, "invalid_client_metadata", "not a public key"},
	}
	c := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) {
		c.AS.AuthMethods = []string{idjagtest.AuthNone, idjagtest.AuthPrivateKeyJWT}
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := native(idjagtest.AuthNone)
			test.bend(body)
			refused(t, postJSON(t, c.AS.RegistrationEndpoint(), body), 400, test.code, test.why, c.AS.Refusals())
		})
	}
	body := native(idjagtest.AuthPrivateKeyJWT)
	body["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
	if got := postJSON(t, c.AS.RegistrationEndpoint(), body); got.status != 201 {
		t.Errorf("with a public key: %d %s", got.status, got.raw)
	}
	if got := get(t, c.AS.MetadataURL()); fmt.Sprint(got.body["token_endpoint_auth_methods_supported"]) != "[none private_key_jwt]" {
		t.Errorf("metadata is %s", got.raw)
	}
	refused(t, post(t, c.AS.RegistrationEndpoint(), c.ASClient, consentForm(c)), 400, "invalid_client_metadata", "content type", c.AS.Refusals())
	refused(t, get(t, c.AS.RegistrationEndpoint()), 405, "invalid_request", "want POST", c.AS.Refusals())
}

// What RFC 7591 leaves out has defaults: a secret for Basic, and no refresh tokens.
func TestRegistrationDefaultsAndExpiry(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.AS.SecretLifetime = time.Hour })
	body := native("")
	maps.DeleteFunc(body, func(name string, _ any) bool {
		return slices.Contains([]string{"grant_types", "response_types", "token_endpoint_auth_method"}, name)
	})
	got := postJSON(t, c.AS.RegistrationEndpoint(), body)
	if got.status != 201 || got.text("token_endpoint_auth_method") != idjagtest.AuthBasic || fmt.Sprint(got.body["grant_types"]) != "[authorization_code]" {
		t.Fatalf("registration: %d %s", got.status, got.raw)
	}
	at, _ := got.body["client_secret_expires_at"].(float64)
	if left := time.Unix(int64(at), 0).Sub(c.Now()); left > time.Hour || left < 59*time.Minute {
		t.Errorf("the secret expires at %v", got.body["client_secret_expires_at"])
	}
	c.Advance(time.Hour)
	client := idjagtest.Client{ID: got.text("client_id"), Secret: got.text("client_secret")}
	refused(t, post(t, c.AS.TokenEndpoint(), client, asCodeForm(c, "x")), 401, "invalid_client", "has expired", c.AS.Refusals())
}
