package idjagtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func newKey(t *testing.T, algorithm string) *idjagtest.Key {
	t.Helper()
	key, err := idjagtest.NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mintProof(t *testing.T, key *idjagtest.Key, method, target, token, nonce string, mutate func(h, c map[string]any)) string {
	t.Helper()
	proof, err := key.MintProof(method, target, token, nonce, mutate)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// postProof is post with a DPoP proof, and the nonce that the party wants.
func postProof(t *testing.T, key *idjagtest.Key, endpoint string, client idjagtest.Client, form url.Values, nonce string) answer {
	t.Helper()
	req := formRequest(t, endpoint, client, form)
	req.Header.Set("DPoP", mintProof(t, key, http.MethodPost, endpoint, "", nonce, nil))
	return send(t, req)
}

func callWithProof(t *testing.T, c *idjagtest.Company, authorization, proof string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.MCP.URL(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", authorization)
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	return send(t, req)
}

func everywhere(policy idjagtest.DPoPPolicy) func(*idjagtest.Company) {
	return func(c *idjagtest.Company) { c.IdP.DPoP, c.AS.DPoP, c.MCP.DPoP = policy, policy, policy }
}

// Exchange, redemption and call with one key, which every party demands, and each
// with a nonce of its own.
func TestDPoPFlow(t *testing.T) {
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Require: true, Nonce: true}), func(c *idjagtest.Company) { c.AS.JWT = true })
	for _, at := range []string{c.IdP.Issuer + "/.well-known/openid-configuration", c.AS.MetadataURL(), c.MCP.MetadataURL()} {
		if got := get(t, at); fmt.Sprint(got.body["dpop_signing_alg_values_supported"]) != "[ES256]" {
			t.Errorf("%s: %s", at, got.raw)
		}
	}
	if got := get(t, c.MCP.MetadataURL()); got.body["dpop_bound_access_tokens_required"] != true {
		t.Errorf("resource metadata is %s", got.raw)
	}
	key := newKey(t, "")
	exchange := exchangeForm(c, c.MintIDToken(nil))
	first := postProof(t, key, c.IdP.TokenEndpoint(), c.IdPClient, exchange, "")
	refused(t, first, 400, "use_dpop_nonce", "its nonce", c.IdP.Refusals())
	grant := postProof(t, key, c.IdP.TokenEndpoint(), c.IdPClient, exchange, first.header.Get("DPoP-Nonce"))
	if grant.status != 200 || grant.text("token_type") != "N_A" {
		t.Fatalf("exchange: %d %s; %v", grant.status, grant.raw, c.Refusals())
	}
	if cnf := claims(t, grant.text("access_token"))["cnf"]; fmt.Sprint(cnf) != "map[jkt:"+key.Thumbprint()+"]" {
		t.Errorf("cnf is %v", cnf)
	}
	redeem := redeemForm(c, grant.text("access_token"))
	first = postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, redeem, first.header.Get("DPoP-Nonce"))
	refused(t, first, 400, "use_dpop_nonce", "its nonce", c.AS.Refusals())
	access := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, redeem, first.header.Get("DPoP-Nonce"))
	if access.status != 200 || access.text("token_type") != "DPoP" {
		t.Fatalf("redeem: %d %s; %v", access.status, access.raw, c.Refusals())
	}
	token := access.text("access_token")
	if held, _ := c.AS.Lookup(token); held.Thumbprint != key.Thumbprint() || fmt.Sprint(claims(t, token)["cnf"]) != "map[jkt:"+key.Thumbprint()+"]" {
		t.Errorf("the token is %+v with %v", held, claims(t, token))
	}
	first = callWithProof(t, c, "DPoP "+token, mintProof(t, key, http.MethodPost, c.MCP.URL(), token, "", nil))
	refused(t, first, 401, "use_dpop_nonce", "its nonce", c.MCP.Refusals())
	if challenge := first.header.Values("WWW-Authenticate"); len(challenge) != 1 || !strings.HasPrefix(challenge[0], `DPoP error="use_dpop_nonce"`) {
		t.Errorf("challenge is %q", challenge)
	}
	nonce := first.header.Get("DPoP-Nonce")
	reply := callWithProof(t, c, "DPoP "+token, mintProof(t, key, http.MethodPost, c.MCP.URL(), token, nonce, nil))
	if reply.status != 200 || !strings.Contains(reply.raw, c.Person.Subject) || reply.header.Get("DPoP-Nonce") != nonce {
		t.Errorf("call: %d %s; %v", reply.status, reply.raw, c.Refusals())
	}
	c.MCP.RotateNonce()
	again := callWithProof(t, c, "DPoP "+token, mintProof(t, key, http.MethodPost, c.MCP.URL(), token, nonce, nil))
	refused(t, again, 401, "use_dpop_nonce", "its nonce", c.MCP.Refusals())
	for _, r := range c.MCP.Requests() {
		if r.Status == 200 && r.What == idjagtest.Call && r.Thumbprint != key.Thumbprint() {
			t.Errorf("recorded %+v", r)
		}
	}
}

func TestProofRefuses(t *testing.T) {
	claim := func(name string, value any) func(h, c map[string]any) {
		return func(_, c map[string]any) { c[name] = value }
	}
	header := func(name string, value any) func(h, c map[string]any) {
		return func(h, _ map[string]any) { put(h, name, value) }
	}
	private := map[string]any{"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "d"}
	tests := []struct {
		name   string
		mutate func(h, c map[string]any)
		why    string
	}{
		{"typ", header("typ", "JWT"), "its typ"},
		{"no jwk", header("jwk", nil), "no jwk"},
		{"private jwk", header("jwk", private), "private part"},
		{"symmetric jwk", header("jwk", map[string]any{"kty": "oct", "k": "eA"}), "private part"},
		{"another key", header("jwk", newKey(t, "").Public()), "its signature"},
		{"no jti", claim("jti", nil), "no jti"},
		{"other method", claim("htm", "GET"), "its htm"},
		{"other URL", claim("htu", "https://as.example/token"), "its htu"},
		{"query", func(_, c map[string]any) { c["htu"] = c["htu"].(string) + "?x=y" }, "its htu"},
		{"slash", func(_, c map[string]any) { c["htu"] = c["htu"].(string) + "/" }, "its htu"},
		{"no iat", claim("iat", nil), "iat"},
		{"old", claim("iat", time.Now().Add(-2*time.Minute).Unix()), "iat"},
		{"from the future", claim("iat", time.Now().Add(2*time.Minute).Unix()), "iat"},
		{"ath", claim("ath", "x"), "ath where no"},
	}
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	key := newKey(t, "")
	try := func(values ...string) answer {
		req := formRequest(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil)))
		for _, v := range values {
			req.Header.Add("DPoP", v)
		}
		return send(t, req)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := try(mintProof(t, key, http.MethodPost, c.AS.TokenEndpoint(), "", "", test.mutate))
			refused(t, got, 400, "invalid_dpop_proof", test.why, c.AS.Refusals())
		})
	}
	good := func(key *idjagtest.Key) string {
		return mintProof(t, key, http.MethodPost, c.AS.TokenEndpoint(), "", "", nil)
	}
	refused(t, try("garbage"), 400, "invalid_dpop_proof", "its header", c.AS.Refusals())
	refused(t, try(good(newKey(t, idjagtest.RS256))), 400, "invalid_dpop_proof", "its alg", c.AS.Refusals())
	refused(t, try(good(key), good(key)), 400, "invalid_dpop_proof", "2 DPoP headers", c.AS.Refusals())
	once := good(key)
	if got := try(once); got.status != 200 || got.text("token_type") != "DPoP" {
		t.Errorf("redeem: %d %s", got.status, got.raw)
	}
	refused(t, try(once), 400, "invalid_dpop_proof", "used before", c.AS.Refusals())
	if got := try(); got.status != 200 || got.text("token_type") != "Bearer" {
		t.Errorf("without proof: %d %s", got.status, got.raw)
	}
}

func put(m map[string]any, name string, value any) {
	if value == nil {
		delete(m, name)
		return
	}
	m[name] = value
}

func TestDPoPIsRequired(t *testing.T) {
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Require: true}))
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil))), 400, "invalid_dpop_proof", "no DPoP proof", c.IdP.Refusals())
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))), 400, "invalid_dpop_proof", "no DPoP proof", c.AS.Refusals())
	if got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(callback(t, c).Get("code"))); got.status != 200 {
		t.Errorf("signing in takes no proof: %d %s", got.status, got.raw)
	}
	if challenge := callMCP(t, c, "").header.Values("WWW-Authenticate"); len(challenge) != 1 || !strings.HasPrefix(challenge[0], "DPoP resource_metadata=") || !strings.Contains(challenge[0], `algs="ES256"`) {
		t.Errorf("challenge is %q", challenge)
	}
	both := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	if challenge := callMCP(t, both, "").header.Values("WWW-Authenticate"); len(challenge) != 2 || !strings.HasPrefix(challenge[0], "Bearer ") || !strings.HasPrefix(challenge[1], "DPoP ") {
		t.Errorf("challenges are %q", challenge)
	}
}

func TestDPoPIsOffByDefault(t *testing.T) {
	c := idjagtest.New(t)
	got := postProof(t, newKey(t, ""), c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil)), "")
	if got.status != 200 || got.text("token_type") != "Bearer" || get(t, c.AS.MetadataURL()).body["dpop_signing_alg_values_supported"] != nil {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	requests := c.AS.Requests()
	if notes := requests[0].Notes; len(notes) != 1 || !strings.Contains(notes[0], "takes no notice") {
		t.Errorf("noted %q", notes)
	}
}

func TestBoundGrantNeedsItsKey(t *testing.T) {
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	key := newKey(t, "")
	bound := func(cnf any) url.Values {
		return redeemForm(c, c.MintIDJAG(func(_, claims map[string]any) { claims["cnf"] = cnf }))
	}
	jkt := map[string]any{"jkt": key.Thumbprint()}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, bound(jkt)), 400, "invalid_grant", "has no proof", c.AS.Refusals())
	refused(t, postProof(t, newKey(t, ""), c.AS.TokenEndpoint(), c.ASClient, bound(jkt), ""), 400, "invalid_grant", "another key", c.AS.Refusals())
	refused(t, postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, bound(map[string]any{"x5t#S256": "x"}), ""), 400, "invalid_grant", "something else", c.AS.Refusals())
	if got := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, bound(jkt), ""); got.status != 200 {
		t.Errorf("redeem: %d %s", got.status, got.raw)
	}
}

func TestMCPServerHoldsTokensToTheirKey(t *testing.T) {
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	key, thief := newKey(t, ""), newKey(t, "")
	bearer := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))).text("access_token")
	token := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil)), "").text("access_token")
	proof := func(key *idjagtest.Key, ath string) string {
		return mintProof(t, key, http.MethodPost, c.MCP.URL(), ath, "", nil)
	}
	for _, test := range []struct{ authorization, proof, code, why string }{
		{"Bearer " + token, proof(key, token), "invalid_token", "came as Bearer"},
		{"DPoP " + bearer, proof(key, bearer), "invalid_token", "came as DPoP"},
		{"DPoP " + token, "", "invalid_dpop_proof", "no DPoP proof"},
		{"DPoP " + token, proof(key, ""), "invalid_dpop_proof", "its ath"},
		{"DPoP " + token, proof(key, bearer), "invalid_dpop_proof", "its ath"},
		{"DPoP " + token, proof(thief, token), "invalid_token", "another key"},
		{"DPoP x", proof(key, "x"), "invalid_token", "not issued"},
	} {
		refused(t, callWithProof(t, c, test.authorization, test.proof), 401, test.code, test.why, c.MCP.Refusals())
	}
	if got := callWithProof(t, c, "Bearer "+bearer, ""); got.status != 200 {
		t.Errorf("bearer: %d %s", got.status, got.raw)
	}
	strict := idjagtest.New(t, func(c *idjagtest.Company) { c.MCP.DPoP.Require = true })
	bearer = post(t, strict.AS.TokenEndpoint(), strict.ASClient, redeemForm(strict, strict.MintIDJAG(nil))).text("access_token")
	refused(t, callWithProof(t, strict, "Bearer "+bearer, ""), 401, "invalid_token", "not bound", strict.MCP.Refusals())
}

// A public client's code and refresh tokens are bound as well.
func TestPublicClientIsBound(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, everywhere(idjagtest.DPoPPolicy{Accept: true}), func(c *idjagtest.Company) {
		c.ASClient.Method, c.ASClient.Secret = idjagtest.AuthNone, ""
		c.IdPClient.Method, c.IdPClient.Secret = idjagtest.AuthNone, ""
	})
	key := newKey(t, "")
	ask := consentForm(c)
	ask.Set("dpop_jkt", key.Thumbprint())
	as := func(client idjagtest.Client, form url.Values) url.Values {
		form.Set("client_id", client.ID)
		return form
	}
	code := as(c.ASClient, asCodeForm(c, consented(t, c, ask).Get("code")))
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, code), 400, "invalid_grant", "code is bound", c.AS.Refusals())
	tokens := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, code, "")
	refresh := as(c.ASClient, asRefreshForm(c, tokens.text("refresh_token")))
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, refresh), 400, "invalid_grant", "is bound", c.AS.Refusals())
	if got := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, refresh, ""); got.status != 200 || got.text("token_type") != "DPoP" {
		t.Errorf("refresh: %d %s", got.status, got.raw)
	}
	idp := postProof(t, key, c.IdP.TokenEndpoint(), c.IdPClient, as(c.IdPClient, codeForm(callback(t, c).Get("code"))), "")
	if idp.status != 200 || idp.text("token_type") != "DPoP" {
		t.Fatalf("code grant: %d %s", idp.status, idp.raw)
	}
	refused(t, post(t, c.IdP.TokenEndpoint(), c.IdPClient, as(c.IdPClient, refreshForm(idp.text("refresh_token")))), 400, "invalid_grant", "is bound", c.IdP.Refusals())
}

func TestDPoPQuirks(t *testing.T) {
	c := idjagtest.New(t, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	key := newKey(t, "")
	exchanged := func(quirk idjagtest.Quirk) any {
		c.IdP.SetQuirks(quirk)
		got := postProof(t, key, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil)), "")
		return claims(t, got.text("access_token"))["cnf"]
	}
	if cnf := exchanged(idjagtest.Unbound()); cnf != nil {
		t.Errorf("Unbound: cnf is %v", cnf)
	}
	if cnf, _ := exchanged(idjagtest.BoundElsewhere()).(map[string]any); cnf["jkt"] == key.Thumbprint() || len(fmt.Sprint(cnf["jkt"])) != 43 {
		t.Errorf("BoundElsewhere: cnf is %v", cnf)
	}
	c.AS.SetQuirks(idjagtest.BearerDespiteProof())
	got := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil)), "")
	if reply := callMCP(t, c, "Bearer "+got.text("access_token")); got.text("token_type") != "Bearer" || reply.status != 200 {
		t.Errorf("BearerDespiteProof: %s, call %d %s", got.raw, reply.status, reply.raw)
	}
	c.AS.SetQuirks(idjagtest.DPoPWithoutProof())
	if got := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))); got.text("token_type") != "DPoP" {
		t.Errorf("DPoPWithoutProof: %s", got.raw)
	}
}
