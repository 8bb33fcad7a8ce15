package idjagtest_test

import (
	"net/url"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// connected goes through the consent and returns the answer to the code.
func connected(t *testing.T, c *idjagtest.Company, form url.Values) answer {
	t.Helper()
	tokens := post(t, c.AS.TokenEndpoint(), c.ASClient, asCodeForm(c, consented(t, c, form).Get("code")))
	if tokens.status != 200 {
		t.Fatalf("code grant: %d %s; %v", tokens.status, tokens.raw, c.Refusals())
	}
	return tokens
}

func TestASRefreshRotatesAndDetectsReuse(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	first := connected(t, c, consentForm(c)).text("refresh_token")
	renewed := post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, first))
	second := renewed.text("refresh_token")
	if second == "" || second == first || renewed.text("access_token") == "" || renewed.text("scope") != "read offline_access" {
		t.Fatalf("refresh: %d %s", renewed.status, renewed.raw)
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, first)), 400, "invalid_grant", "family is revoked", c.AS.Refusals())
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, second)), 400, "invalid_grant", "used twice", c.AS.Refusals())
	if _, live := c.AS.Lookup(renewed.text("access_token")); live {
		t.Error("the access token outlived its family")
	}
}

func TestASRefreshRefuses(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	c.AS.AddResource("https://other.example", "read")
	thief := idjagtest.Client{ID: "other", Secret: "s"}
	c.AS.AddClient(thief)
	token := connected(t, c, consentForm(c)).text("refresh_token")
	tests := []struct {
		name   string
		client idjagtest.Client
		form   func(url.Values)
		code   string
		why    string
	}{
		{"none", c.ASClient, drop("refresh_token"), "invalid_request", "refresh_token is missing"},
		{"unknown", c.ASClient, set("refresh_token", "x"), "invalid_grant", "never issued"},
		{"another client", thief, func(url.Values) {}, "invalid_grant", "another client's"},
		{"no resource", c.ASClient, drop("resource"), "invalid_target", "resource is missing"},
		{"other resource", c.ASClient, set("resource", "https://other.example"), "invalid_target", "the consent is for"},
		{"wider scope", c.ASClient, set("scope", "read write"), "invalid_scope", "not agreed to"},
	}
	for _, test := range tests {
		form := asRefreshForm(c, token)
		test.form(form)
		refused(t, post(t, c.AS.TokenEndpoint(), test.client, form), 400, test.code, test.why, c.AS.Refusals())
	}
	narrow := asRefreshForm(c, token)
	narrow.Set("scope", "read")
	if got := post(t, c.AS.TokenEndpoint(), c.ASClient, narrow); got.status != 200 || got.text("scope") != "read" {
		t.Errorf("after refusals that cost nothing: %d %s", got.status, got.raw)
	}
}

func TestASRefreshSwitches(t *testing.T) {
	unasked := func(c *idjagtest.Company) url.Values {
		form := consentForm(c)
		form.Set("scope", "read")
		return form
	}
	c := idjagtest.New(t, idjagtest.Standard)
	if got := connected(t, c, unasked(c)); got.text("refresh_token") != "" || got.text("scope") != "read" {
		t.Errorf("a refresh token came unasked: %s", got.raw)
	}
	c = idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.AS.AlwaysRefresh, c.AS.NoRotation = true, true })
	token := connected(t, c, unasked(c)).text("refresh_token")
	for range 2 {
		if got := post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, token)); got.status != 200 || got.text("refresh_token") != "" {
			t.Errorf("refresh: %d %s", got.status, got.raw)
		}
	}
	c = idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.ASClient.Grants = []string{"authorization_code"} })
	if got := connected(t, c, consentForm(c)); got.text("refresh_token") != "" {
		t.Error("a client that is not registered for refresh tokens got one")
	}
	c = idjagtest.New(t, idjagtest.Standard)
	all := consentForm(c)
	all.Del("scope")
	if got := connected(t, c, all); got.text("scope") != "read write" {
		t.Errorf("no scope asked: %s", got.raw)
	}
}

func TestASRevocationEndsTheConsent(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	tokens := connected(t, c, consentForm(c))
	thief := idjagtest.Client{ID: "other", Secret: "s"}
	c.AS.AddClient(thief)
	form := url.Values{"token": {tokens.text("refresh_token")}}
	refused(t, post(t, c.AS.Issuer+"/revoke", thief, form), 400, "invalid_grant", "another client's", c.AS.Refusals())
	if got := post(t, c.AS.Issuer+"/revoke", c.ASClient, form); got.status != 200 {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	if _, live := c.AS.Lookup(tokens.text("access_token")); live {
		t.Error("the access token outlived the revocation")
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, tokens.text("refresh_token"))), 400, "invalid_grant", "client revoked", c.AS.Refusals())
}
