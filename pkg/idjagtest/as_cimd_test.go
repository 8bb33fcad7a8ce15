package idjagtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

const cimdID = "https://mcpauth.acme.example/client.json"

// site is what a company hosts: documents by URL.
type site map[string]any

func (s site) fetch(_ context.Context, url string) ([]byte, error) {
	if _, ok := s[url]; !ok {
		return nil, errors.New("nothing is there")
	}
	return json.Marshal(s[url])
}

func hosted() map[string]any {
	return map[string]any{"client_id": cimdID, "client_name": "mcpauth", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types":                []string{"authorization_code", "refresh_token", idjagtest.GrantJWTBearer},
		"token_endpoint_auth_method": "none"}
}

func trusting(s site) func(*idjagtest.Company) {
	return func(c *idjagtest.Company) {
		c.AS.CIMD = &idjagtest.CIMDPolicy{Allow: []string{"*.acme.example"}, Fetch: s.fetch}
	}
}

// A client without any registration connects, refreshes, and redeems an ID-JAG.
func TestCIMD(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, trusting(site{cimdID: hosted()}), func(c *idjagtest.Company) {
		c.AS.NoIDJAG, c.Connection.ClientID = false, cimdID
	})
	metadata := get(t, c.AS.MetadataURL())
	if metadata.body["client_id_metadata_document_supported"] != true || !strings.Contains(fmt.Sprint(metadata.body["token_endpoint_auth_methods_supported"]), "private_key_jwt") {
		t.Errorf("metadata is %s", metadata.raw)
	}
	ask := consentForm(c)
	ask.Set("client_id", cimdID)
	code := asCodeForm(c, consented(t, c, ask).Get("code"))
	code.Set("client_id", cimdID)
	tokens := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, code)
	if tokens.status != 200 || tokens.text("refresh_token") == "" {
		t.Fatalf("code grant: %d %s; %v", tokens.status, tokens.raw, c.Refusals())
	}
	refresh := asRefreshForm(c, tokens.text("refresh_token"))
	refresh.Set("client_id", cimdID)
	if got := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, refresh); got.status != 200 {
		t.Errorf("refresh: %d %s; %v", got.status, got.raw, c.Refusals())
	}
	redeem := redeemForm(c, c.MintIDJAG(nil))
	redeem.Set("client_id", cimdID)
	if got := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, redeem); got.status != 200 {
		t.Errorf("redeem: %d %s; %v", got.status, got.raw, c.Refusals())
	}
}

func TestCIMDWithKeys(t *testing.T) {
	key := newKey(t, "")
	public := jose.JSONWebKey{Key: key.Public().Key, KeyID: key.ID} // without alg, which is optional
	for _, inline := range []bool{true, false} {
		d := hosted()
		d["token_endpoint_auth_method"] = "private_key_jwt"
		s := site{cimdID: d}
		if set := (jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}); inline {
			d["jwks"] = set
		} else {
			d["jwks_uri"] = "https://keys.elsewhere.example/jwks"
			s["https://keys.elsewhere.example/jwks"] = set
		}
		c := idjagtest.New(t, trusting(s), func(c *idjagtest.Company) { c.Connection.ClientID = cimdID })
		form := redeemForm(c, c.MintIDJAG(nil))
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", clientAssertion(t, idjagtest.Client{ID: cimdID, Key: key}, c.AS.Issuer, nil))
		if got := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form); got.status != 200 {
			t.Errorf("redeem: %d %s; %v", got.status, got.raw, c.Refusals())
		}
		thief := newKey(t, "")
		thief.ID = key.ID
		form.Set("client_assertion", clientAssertion(t, idjagtest.Client{ID: cimdID, Key: thief}, c.AS.Issuer, nil))
		refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 401, "invalid_client", "does not verify", c.AS.Refusals())
		form = redeemForm(c, c.MintIDJAG(nil))
		form.Set("client_id", cimdID)
		refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 401, "invalid_client", "registered is private_key_jwt", c.AS.Refusals())
	}
}

func TestCIMDRefusesDocuments(t *testing.T) {
	with := func(name string, value any) func(map[string]any) {
		return func(d map[string]any) { put(d, name, value) }
	}
	keyed := func(name string, value any) func(map[string]any) {
		return func(d map[string]any) { d["token_endpoint_auth_method"] = "private_key_jwt"; put(d, name, value) }
	}
	tests := []struct {
		name string
		bend func(map[string]any)
		why  string
	}{
		{"other client_id", with("client_id", cimdID+"/"), "client_id is"},
		{"no client_id", with("client_id", nil), "client_id is"},
		{"no name", with("client_name", nil), "client_name"},
		{"no redirect", with("redirect_uris", nil), "redirect_uris"},
		{"a secret", with("client_secret", "x"), "shared secret"},
		{"a secret's expiry", with("client_secret_expires_at", 0), "shared secret"},
		{"a secret method", with("token_endpoint_auth_method", "client_secret_basic"), "token_endpoint_auth_method"},
		{"not metadata", with("redirect_uris", 1), "not a JSON object"},
		{"no keys", keyed("jwks", nil), "no key"},
		{"two key sets", keyed("jwks_uri", "https://x.example/jwks"), "both jwks and jwks_uri"},
		{"a private key", keyed("jwks", map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "eA"}}}), "not a public key"},
		{"http keys", func(d map[string]any) { keyed("jwks", nil)(d); d["jwks_uri"] = "http://x.example/jwks" }, "not an https URL"},
		{"keys are gone", func(d map[string]any) { keyed("jwks", nil)(d); d["jwks_uri"] = "https://x.example/jwks" }, "nothing is there"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := hosted()
			d["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{newKey(t, "").Public()}}
			test.bend(d)
			c := idjagtest.New(t, trusting(site{cimdID: d}))
			form := redeemForm(c, c.MintIDJAG(nil))
			form.Set("client_id", cimdID)
			refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 401, "invalid_client", test.why, c.AS.Refusals())
		})
	}
}

func TestCIMDRefusesIDs(t *testing.T) {
	s := site{}
	c := idjagtest.New(t, idjagtest.Standard, trusting(s))
	for id, why := range map[string]string{
		"http://app.acme.example/client.json":       "not registered here",
		"https://acme.example/client.json":          "not trusted",
		"https://app.evil-acme.example/client.json": "not trusted",
		"https://app.acme.example.evil.example/x":   "not trusted",
		"https://app.acme.example":                  "no path",
		"https://app.acme.example/":                 "no path",
		"https://app.acme.example/c?x=y":            "query",
		"https://app.acme.example/c#x":              "fragment",
		"https://me@app.acme.example/c":             "userinfo",
		"https://app.acme.example/a/../c":           "dot segments",
		"https://app.acme.example/c":                "nothing is there",
	} {
		s[id] = hosted()
		if why == "nothing is there" {
			delete(s, id)
		}
		form := consentForm(c)
		form.Set("client_id", id)
		refused(t, get(t, c.AS.AuthorizationEndpoint()+"?"+form.Encode()), 400, "invalid_client", why, c.AS.Refusals())
	}
	off := idjagtest.New(t, idjagtest.Standard)
	form := consentForm(off)
	form.Set("client_id", cimdID)
	refused(t, get(t, off.AS.AuthorizationEndpoint()+"?"+form.Encode()), 400, "invalid_client", "not registered here", off.AS.Refusals())
}

// A document says what its client may do; left out, that is RFC 7591's default.
func TestCIMDGrants(t *testing.T) {
	d := hosted()
	put(d, "grant_types", nil)
	put(d, "token_endpoint_auth_method", nil)
	c := idjagtest.New(t, idjagtest.Standard, trusting(site{cimdID: d}), func(c *idjagtest.Company) { c.AS.NoIDJAG = false })
	form := redeemForm(c, c.MintIDJAG(nil))
	form.Set("client_id", cimdID)
	refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form), 400, "unauthorized_client", "may not use", c.AS.Refusals())
	requests := c.AS.Requests()
	if notes := requests[0].Notes; len(notes) != 1 || !strings.Contains(notes[0], "taken as none") {
		t.Errorf("noted %q", notes)
	}
	other := consentForm(c)
	other.Set("client_id", cimdID)
	other.Set("redirect_uri", "http://127.0.0.1:5/elsewhere")
	refused(t, get(t, c.AS.AuthorizationEndpoint()+"?"+other.Encode()), 400, "invalid_request", "not registered for client", c.AS.Refusals())
}

func TestFetchDocument(t *testing.T) {
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/good", http.StatusFound)
			return
		case "/html":
			w.Header().Set("Content-Type", "text/html")
		default:
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
		}
		if r.URL.Path == "/huge" {
			fmt.Fprint(w, strings.Repeat(" ", 6<<10))
		}
		fmt.Fprint(w, "{}")
	}))
	defer host.Close()
	fetch := idjagtest.FetchDocument(host.Client())
	if text, err := fetch(context.Background(), host.URL+"/good"); err != nil || string(text) != "{}" {
		t.Errorf("good: %q, %v", text, err)
	}
	for _, bad := range []string{host.URL + "/moved", host.URL + "/html", host.URL + "/huge", strings.Replace(host.URL, "https", "http", 1) + "/good"} {
		if text, err := fetch(context.Background(), bad); err == nil {
			t.Errorf("%s: %q", bad, text)
		}
	}
}
