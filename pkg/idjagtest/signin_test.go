package idjagtest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestAuthorizeRefusesWithoutRedirect(t *testing.T) {
	c := idjagtest.New(t)
	tests := []struct {
		name string
		form func(url.Values)
		why  string
	}{
		{"unknown client", set("client_id", "x"), "not registered here"},
		{"no redirect", drop("redirect_uri"), "redirect_uri"},
		{"other host", set("redirect_uri", "http://127.0.0.2:5/callback"), "redirect_uri"},
		{"other path", set("redirect_uri", "http://127.0.0.1:5/callback/x"), "redirect_uri"},
		{"localhost", set("redirect_uri", "http://localhost:5/callback"), "redirect_uri"},
		{"https", set("redirect_uri", "https://127.0.0.1:5/callback"), "redirect_uri"},
		{"query", set("redirect_uri", "http://127.0.0.1:5/callback?x=y"), "redirect_uri"},
		{"userinfo", set("redirect_uri", "http://a@127.0.0.1:5/callback"), "redirect_uri"},
		{"two states", func(f url.Values) { f.Add("state", "another-0123456789") }, "state comes 2 times"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form := authorizeForm(c)
			test.form(form)
			got := get(t, c.IdP.AuthorizationEndpoint()+"?"+form.Encode())
			refused(t, got, 400, "invalid_request", test.why, c.IdP.Refusals())
			if got.header.Get("Location") != "" {
				t.Error("the browser was sent somewhere")
			}
		})
	}
}

func TestAuthorizeRefusesByRedirect(t *testing.T) {
	c := idjagtest.New(t)
	tests := []struct {
		name string
		form func(url.Values)
		code string
	}{
		{"no response_type", drop("response_type"), "unsupported_response_type"},
		{"implicit", set("response_type", "id_token"), "unsupported_response_type"},
		{"no openid", set("scope", "email"), "invalid_scope"},
		{"no PKCE", drop("code_challenge"), "invalid_request"},
		{"plain PKCE", set("code_challenge_method", "plain"), "invalid_request"},
		{"no method", drop("code_challenge_method"), "invalid_request"},
		{"challenge is no sum", set("code_challenge", verifier), "invalid_request"},
		{"no state", drop("state"), "invalid_request"},
		{"no nonce", drop("nonce"), "invalid_request"},
		{"no session", set("prompt", "none"), "login_required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form := authorizeForm(c)
			test.form(form)
			got := get(t, c.IdP.AuthorizationEndpoint()+"?"+form.Encode())
			back, err := url.Parse(got.header.Get("Location"))
			if err != nil || got.status != http.StatusSeeOther {
				t.Fatalf("answered %d, %v", got.status, err)
			}
			if q := back.Query(); q.Get("error") != test.code || q.Get("iss") != c.IdP.Issuer || q.Get("state") != form.Get("state") || q.Has("code") {
				t.Errorf("sent back %s, want %s", back.RawQuery, test.code)
			}
		})
	}
}

func TestSignInForm(t *testing.T) {
	c := idjagtest.New(t)
	start := c.IdP.AuthorizationEndpoint() + "?" + authorizeForm(c).Encode()
	ctx := context.Background()

	wrong := c.Browser()
	wrong.Password += "x"
	if at, err := wrong.Approve(ctx, start); err == nil {
		t.Errorf("a wrong password led to %s", at)
	}
	if r := c.IdP.Refusals(); r[len(r)-1].Reason != "wrong name or password" {
		t.Errorf("recorded %v", r)
	}
	deny := c.Browser()
	deny.Deny = true
	if at, err := deny.Approve(ctx, start); err != nil || !strings.Contains(at, "error=access_denied") {
		t.Errorf("cancel led to %s, %v", at, err)
	}
	c.IdP.RevokePerson(c.Person.Subject)
	if at, err := c.Browser().Approve(ctx, start); err == nil {
		t.Errorf("somebody who left was sent to %s", at)
	}
	form := url.Values{"request": {"guess"}, "person": {c.Person.Email}, "password": {c.Person.Password}}
	refused(t, post(t, c.IdP.Issuer+"/sign-in", idjagtest.Client{}, form), 400, "invalid_request", "no open request", c.IdP.Refusals())
}

func TestSignInVisitsTheCallback(t *testing.T) {
	visits := make(chan string, 1)
	program := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visits <- r.URL.Query().Get("code") }))
	defer program.Close()
	for _, auto := range []bool{false, true} {
		c := idjagtest.New(t, func(c *idjagtest.Company) {
			c.IdP.AutoApprove, c.IdP.ChoosePerson = auto, !auto
			c.Person.Password = ""
		})
		form := authorizeForm(c)
		form.Set("redirect_uri", program.URL+"/callback")
		form.Set("login_hint", c.Person.Email)
		at, err := c.SignIn(c.IdP.AuthorizationEndpoint() + "?" + form.Encode())
		if err != nil {
			t.Fatalf("%v; %v", err, c.Refusals())
		}
		if code := <-visits; code == "" || !strings.Contains(at, code) {
			t.Errorf("the program saw code %q, the browser returned %s", code, at)
		}
	}
}

func TestCodeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		form  func(url.Values)
		setup func(*idjagtest.Company)
		code  string
		why   string
	}{
		{name: "unknown code", form: set("code", "x"), code: "invalid_grant", why: "never issued"},
		{name: "no verifier", form: drop("code_verifier"), code: "invalid_request", why: "code_verifier is missing"},
		{name: "short verifier", form: set("code_verifier", "short"), code: "invalid_request", why: "43 to 128"},
		{name: "other verifier", form: set("code_verifier", verifier+"x"), code: "invalid_grant", why: "does not match"},
		{name: "no redirect", form: drop("redirect_uri"), code: "invalid_grant", why: "redirect_uri"},
		{name: "other port", form: set("redirect_uri", "http://127.0.0.1:5/callback"), code: "invalid_grant", why: "redirect_uri"},
		{name: "too late", setup: func(c *idjagtest.Company) { c.Advance(time.Minute) }, code: "invalid_grant", why: "expired"},
		{name: "person left meanwhile", setup: func(c *idjagtest.Company) { c.IdP.RevokePerson(c.Person.Subject) }, code: "invalid_grant", why: "revoked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			form := codeForm(callback(t, c).Get("code"))
			if test.form != nil {
				test.form(form)
			}
			if test.setup != nil {
				test.setup(c)
			}
			refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, form), 400, test.code, test.why, c.IdP.Refusals())
		})
	}
}

func TestCodeReuseRevokesTheSession(t *testing.T) {
	c := idjagtest.New(t)
	form := codeForm(callback(t, c).Get("code"))
	tokens := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form)
	if tokens.status != 200 {
		t.Fatalf("answered %d %s", tokens.status, tokens.raw)
	}
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, form), 400, "invalid_grant", "used before", c.IdP.Refusals())
	for _, next := range []url.Values{refreshForm(tokens.text("refresh_token")), exchangeForm(c, tokens.text("id_token"))} {
		refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, next), 400, "invalid_grant", "used twice", c.IdP.Refusals())
	}
}

func TestCodeOfAnotherClient(t *testing.T) {
	c := idjagtest.New(t)
	other := idjagtest.Client{ID: "other", Secret: "s"}
	c.IdP.AddClient(other)
	form := codeForm(callback(t, c).Get("code"))
	refused(t, post(t, c.IdP.TokenEndpoint(), other, form), 400, "invalid_grant", "another client's", c.IdP.Refusals())
}

func TestRefreshRotatesAndDetectsReuse(t *testing.T) {
	c := idjagtest.New(t)
	first := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(callback(t, c).Get("code"))).text("refresh_token")
	renewed := post(t, c.IdP.TokenEndpoint(), c.IdPClient, refreshForm(first))
	second := renewed.text("refresh_token")
	if second == "" || second == first || renewed.text("id_token") == "" {
		t.Fatalf("refresh: %d %s", renewed.status, renewed.raw)
	}
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, refreshForm(first)), 400, "invalid_grant", "family is revoked", c.IdP.Refusals())
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, refreshForm(second)), 400, "invalid_grant", "used twice", c.IdP.Refusals())
}

func TestRefreshSwitches(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.IdP.NoRotation, c.IdP.NoRefreshIDToken = true, true })
	first := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(callback(t, c).Get("code"))).text("refresh_token")
	for range 2 {
		renewed := post(t, c.IdP.TokenEndpoint(), c.IdPClient, refreshForm(first))
		if renewed.text("refresh_token") != first || renewed.text("id_token") != "" {
			t.Fatalf("refresh: %d %s", renewed.status, renewed.raw)
		}
	}
	form := refreshForm(first)
	form.Set("scope", "openid profile")
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, form), 400, "invalid_scope", "not granted at sign-in", c.IdP.Refusals())
}

func TestRevocationEndsTheSession(t *testing.T) {
	c := idjagtest.New(t)
	token := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(callback(t, c).Get("code"))).text("refresh_token")
	revoke := c.IdP.Issuer + "/revoke"
	if got := post(t, revoke, c.IdPClient, url.Values{"token": {"unknown"}}); got.status != 200 {
		t.Errorf("an unknown token: %d %s, want 200 (RFC 7009 section 2.2)", got.status, got.raw)
	}
	if got := post(t, revoke, idjagtest.Client{}, url.Values{"token": {token}}); got.status != 401 {
		t.Errorf("without client authentication: %d %s", got.status, got.raw)
	}
	other := idjagtest.Client{ID: "other", Secret: "s"}
	c.IdP.AddClient(other)
	refused(t, post(t, revoke, other, url.Values{"token": {token}}), 400, "invalid_grant", "another client's", c.IdP.Refusals())
	if got := post(t, revoke, c.IdPClient, url.Values{"token": {token}}); got.status != 200 {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, refreshForm(token)), 400, "invalid_grant", "client revoked", c.IdP.Refusals())
}

func TestNoRefreshTokenUnasked(t *testing.T) {
	c := idjagtest.New(t)
	form := authorizeForm(c)
	form.Set("scope", "openid")
	at, err := c.Browser().Approve(context.Background(), c.IdP.AuthorizationEndpoint()+"?"+form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	tokens := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(back.Query().Get("code")))
	if tokens.text("id_token") == "" || tokens.text("refresh_token") != "" {
		t.Errorf("answered %d %s", tokens.status, tokens.raw)
	}
	if _, ok := claims(t, tokens.text("id_token"))["email"]; ok {
		t.Error("the ID token has an email, which nobody asked for")
	}
}
