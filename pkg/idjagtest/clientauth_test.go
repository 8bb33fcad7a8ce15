package idjagtest_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func TestClientAuthentication(t *testing.T) {
	tests := []struct {
		name   string
		method string // registered
		bend   func(c *idjagtest.Company, r *http.Request, form url.Values)
		status int
		code   string
		why    string
	}{
		{name: "basic", method: idjagtest.AuthBasic, status: 200, bend: func(c *idjagtest.Company, r *http.Request, _ url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.ASClient.ID), url.QueryEscape(c.ASClient.Secret))
		}},
		{name: "basic with the same client_id", method: idjagtest.AuthBasic, status: 200, bend: func(c *idjagtest.Company, r *http.Request, f url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.ASClient.ID), url.QueryEscape(c.ASClient.Secret))
			f.Set("client_id", c.ASClient.ID)
		}},
		{name: "basic, not form-encoded", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "form-encoded", bend: func(c *idjagtest.Company, r *http.Request, _ url.Values) {
			r.SetBasicAuth(c.ASClient.ID, c.ASClient.Secret)
		}},
		{name: "basic, wrong secret", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "is wrong", bend: func(c *idjagtest.Company, r *http.Request, _ url.Values) {
			r.SetBasicAuth(c.ASClient.ID, "x")
		}},
		{name: "basic, other client_id in the body", method: idjagtest.AuthBasic, status: 400, code: "invalid_request", why: "in the header", bend: func(c *idjagtest.Company, r *http.Request, f url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.ASClient.ID), url.QueryEscape(c.ASClient.Secret))
			f.Set("client_id", "other")
		}},
		{name: "basic and post", method: idjagtest.AuthBasic, status: 400, code: "invalid_request", why: "2 ways", bend: func(c *idjagtest.Company, r *http.Request, f url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.ASClient.ID), url.QueryEscape(c.ASClient.Secret))
			f.Set("client_secret", c.ASClient.Secret)
		}},
		{name: "post where basic is registered", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "registered is client_secret_basic", bend: bodySecret},
		{name: "nothing where basic is registered", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "authenticates with none", bend: onlyID},
		{name: "no client at all", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "does not say", bend: func(*idjagtest.Company, *http.Request, url.Values) {}},
		{name: "unknown client", method: idjagtest.AuthNone, status: 401, code: "invalid_client", why: "not registered", bend: func(_ *idjagtest.Company, _ *http.Request, f url.Values) { f.Set("client_id", "x") }},
		{name: "a bearer token", method: idjagtest.AuthBasic, status: 401, code: "invalid_client", why: "not a Basic", bend: func(_ *idjagtest.Company, r *http.Request, _ url.Values) {
			r.Header.Set("Authorization", "Bearer x")
		}},
		{name: "post", method: idjagtest.AuthPost, status: 200, bend: bodySecret},
		{name: "basic where post is registered", method: idjagtest.AuthPost, status: 401, code: "invalid_client", why: "registered is client_secret_post", bend: func(c *idjagtest.Company, r *http.Request, _ url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.ASClient.ID), url.QueryEscape(c.ASClient.Secret))
		}},
		{name: "none", method: idjagtest.AuthNone, status: 200, bend: onlyID},
		{name: "secret where none is registered", method: idjagtest.AuthNone, status: 401, code: "invalid_client", why: "registered is none", bend: bodySecret},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) { c.ASClient.Method = test.method })
			form := redeemForm(c, c.MintIDJAG(nil))
			shell, err := http.NewRequest(http.MethodPost, c.AS.TokenEndpoint(), nil)
			if err != nil {
				t.Fatal(err)
			}
			test.bend(c, shell, form)
			req := formRequest(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form)
			req.Header.Set("Authorization", shell.Header.Get("Authorization"))
			if req.Header.Get("Authorization") == "" {
				req.Header.Del("Authorization")
			}
			got := send(t, req)
			if test.status == 200 {
				if got.status != 200 {
					t.Errorf("answered %d %s; %v", got.status, got.raw, c.Refusals())
				}
				return
			}
			refused(t, got, test.status, test.code, test.why, c.AS.Refusals())
		})
	}
}

func bodySecret(c *idjagtest.Company, _ *http.Request, f url.Values) {
	f.Set("client_id", c.ASClient.ID)
	f.Set("client_secret", c.ASClient.Secret)
}

func onlyID(c *idjagtest.Company, _ *http.Request, f url.Values) { f.Set("client_id", c.ASClient.ID) }

func TestPrivateKeyJWT(t *testing.T) {
	claim := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	tests := []struct {
		name   string
		aud    string // of the assertion; "" is the issuer
		only   string // the one audience registered
		mutate func(map[string]any)
		form   func(url.Values)
		why    string // empty: accepted
	}{
		{name: "issuer"},
		{name: "token endpoint", aud: "/token"},
		{name: "without client_id", form: drop("client_id")},
		{name: "an hour", mutate: claim("exp", time.Now().Add(time.Hour-time.Minute).Unix())},
		{name: "only the issuer will do", aud: "/token", only: "https://as.example", why: "its aud"},
		{name: "resource as audience", aud: "/mcp", why: "its aud"},
		{name: "two audiences", mutate: claim("aud", []string{"a", "b"}), why: "2 members"},
		{name: "other issuer", mutate: claim("iss", "x"), form: set("client_id", "mcpauth-at-as"), why: "its iss"},
		{name: "other subject", mutate: claim("sub", "x"), why: "its sub"},
		{name: "expired", mutate: claim("exp", time.Now().Add(-time.Second).Unix()), why: "expired"},
		{name: "no exp", mutate: claim("exp", nil), why: "expired"},
		{name: "over an hour", mutate: claim("exp", time.Now().Add(61*time.Minute).Unix()), why: "over an hour"},
		{name: "no jti", mutate: claim("jti", nil), why: "no jti"},
		{name: "iat in the future", mutate: claim("iat", time.Now().Add(2*time.Minute).Unix()), why: "future"},
		{name: "no assertion type", form: drop("client_assertion_type"), why: "client_assertion_type"},
		{name: "garbage", form: set("client_assertion", "x"), why: "compact JWS"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) {
				c.ASClient.Method, c.ASClient.Secret, c.ASClient.AssertionAudience = idjagtest.AuthPrivateKeyJWT, "", test.only
			})
			form := redeemForm(c, c.MintIDJAG(nil))
			form.Set("client_id", c.ASClient.ID)
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", clientAssertion(t, c.ASClient, c.AS.Issuer+test.aud, test.mutate))
			if test.form != nil {
				test.form(form)
			}
			got := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form)
			if test.why != "" {
				refused(t, got, 401, "invalid_client", test.why, c.AS.Refusals())
				return
			}
			if got.status != 200 {
				t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
			}
			form.Set("assertion", c.MintIDJAG(nil))
			refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 401, "invalid_client", "jti was used", c.AS.Refusals())
		})
	}
}

func TestPrivateKeyJWTOfAnotherKey(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.ASClient.Method = idjagtest.AuthPrivateKeyJWT })
	key, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	key.ID = c.ASClient.Key.ID // the same name, another key
	thief := idjagtest.Client{ID: c.ASClient.ID, Key: key}
	form := redeemForm(c, c.MintIDJAG(nil))
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", clientAssertion(t, thief, c.AS.Issuer, nil))
	refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 401, "invalid_client", "does not verify", c.AS.Refusals())
}

func TestGrantsOfAClient(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) {
		c.IdPClient.Grants = []string{"authorization_code"}
		c.ASClient.Grants = []string{"authorization_code"}
	})
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil))), 400, "unauthorized_client", "may not use", c.IdP.Refusals())
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))), 400, "unauthorized_client", "may not use", c.AS.Refusals())
}
