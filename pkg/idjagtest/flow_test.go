package idjagtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestWholeFlow(t *testing.T) {
	for _, algorithm := range []string{idjagtest.ES256, idjagtest.RS256} {
		t.Run(algorithm, func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) { c.IdP.Algorithm = algorithm })
			back := callback(t, c)
			if back.Get("iss") != c.IdP.Issuer || back.Get("state") != authorizeForm(c).Get("state") {
				t.Fatalf("callback has iss %q and state %q", back.Get("iss"), back.Get("state"))
			}
			tokens := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(back.Get("code")))
			if tokens.status != 200 || tokens.text("refresh_token") == "" {
				t.Fatalf("code grant: %d %s; %v", tokens.status, tokens.raw, c.Refusals())
			}
			idToken := claims(t, tokens.text("id_token"))
			if idToken["nonce"] != authorizeForm(c).Get("nonce") || idToken["sub"] != c.Person.Subject || idToken["aud"] != c.IdPClient.ID {
				t.Fatalf("ID token has claims %v", idToken)
			}
			sum := sha256.Sum256([]byte(tokens.text("access_token")))
			if want := base64.RawURLEncoding.EncodeToString(sum[:16]); idToken["at_hash"] != want {
				t.Errorf("at_hash is %v, want %s", idToken["at_hash"], want)
			}
			grant := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, tokens.text("id_token")))
			if grant.status != 200 || grant.text("token_type") != "N_A" || grant.text("issued_token_type") != idjagtest.TypeIDJAG || grant.text("scope") != "read" {
				t.Fatalf("exchange: %d %s; %v", grant.status, grant.raw, c.Refusals())
			}
			access := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, grant.text("access_token")))
			if access.status != 200 || access.text("token_type") != "Bearer" || access.text("refresh_token") != "" {
				t.Fatalf("redeem: %d %s; %v", access.status, access.raw, c.Refusals())
			}
			reply := callMCP(t, c, "Bearer "+access.text("access_token"))
			if reply.status != 200 || !strings.Contains(reply.raw, c.Person.Subject) {
				t.Fatalf("call: %d %s; %v", reply.status, reply.raw, c.Refusals())
			}
			for what, party := range map[string]interface {
				Count(string) int
				Granted(string) int
			}{idjagtest.Exchange: c.IdP, idjagtest.Code: c.IdP, idjagtest.Redeem: c.AS, idjagtest.Call: c.MCP} {
				if party.Count(what) != 1 || party.Granted(what) != 1 {
					t.Errorf("%s: counted %d, granted %d, want 1 and 1", what, party.Count(what), party.Granted(what))
				}
			}
			if n := c.IdP.Count(idjagtest.Token); n != 2 {
				t.Errorf("counted %d token requests at the IdP, want 2", n)
			}
			if r := c.Refusals(); len(r) != 0 {
				t.Errorf("refusals: %v", r)
			}
		})
	}
}
