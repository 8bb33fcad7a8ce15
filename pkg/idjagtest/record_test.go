package idjagtest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestRecordHoldsNoSecret(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) {
		c.IdPClient.Method, c.ASClient.Method = idjagtest.AuthPost, idjagtest.AuthPrivateKeyJWT
	})
	code := callback(t, c).Get("code")
	withSecret := func(form url.Values) url.Values {
		form.Set("client_id", c.IdPClient.ID)
		form.Set("client_secret", c.IdPClient.Secret)
		return form
	}
	tokens := post(t, c.IdP.TokenEndpoint(), idjagtest.Client{}, withSecret(codeForm(code)))
	refreshToken := tokens.text("refresh_token")
	post(t, c.IdP.TokenEndpoint(), idjagtest.Client{}, withSecret(refreshForm(refreshToken)))
	grant := post(t, c.IdP.TokenEndpoint(), idjagtest.Client{}, withSecret(exchangeForm(c, tokens.text("id_token"))))
	assertion := clientAssertion(t, c.ASClient, c.AS.Issuer, nil)
	form := redeemForm(c, grant.text("access_token"))
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	access := post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, form)
	callMCP(t, c, "Bearer "+access.text("access_token"))
	callMCP(t, c, "Bearer "+assertion)
	if access.status != 200 {
		t.Fatalf("redeem: %d %s; %v", access.status, access.raw, c.Refusals())
	}

	requests := append(append(c.IdP.Requests(), c.AS.Requests()...), c.MCP.Requests()...)
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf("%s %v", text, requests)
	for name, clear := range map[string]string{
		"password": c.Person.Password, "code": code, "verifier": verifier, "refresh token": refreshToken,
		"client secret": c.IdPClient.Secret, "ID token": tokens.text("id_token"), "ID-JAG": grant.text("access_token"),
		"client assertion": assertion, "access token": access.text("access_token"),
	} {
		if clear == "" || strings.Contains(record, clear) {
			t.Errorf("the record has the %s (or it is empty)", name)
		}
	}
	if !strings.Contains(record, idjagtest.Digest(refreshToken)) {
		t.Error("the record lacks the digest of the refresh token")
	}
	c.IdP.ForgetRequests()
	if len(c.IdP.Requests()) != 0 {
		t.Error("the record is still there")
	}
}

// Many clients at once: each code, jti and refresh token still works once.
func TestConcurrentRequests(t *testing.T) {
	c := idjagtest.New(t)
	jag := c.MintIDJAG(nil)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			req := formRequest(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, jag))
			send(t, req)
			callback(t, c)
			c.Refusals()
		})
	}
	group.Wait()
	if got := c.AS.Granted(idjagtest.Redeem); got != 1 {
		t.Errorf("one ID-JAG was redeemed %d times", got)
	}
	if got := c.AS.Count(idjagtest.Redeem); got != 20 {
		t.Errorf("counted %d redemptions, want 20", got)
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "localhost:0", "192.0.2.1:0"} {
		p := &idjagtest.IdP{Party: idjagtest.Party{Addr: addr}}
		if err := p.Start(); err == nil {
			p.Close()
			t.Errorf("started on %q", addr)
		}
	}
}
