package idjagtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// race sends the same request many times at once and counts the agreements.
func race(t *testing.T, request func() *http.Request) int {
	t.Helper()
	var granted atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		req := request()
		all.Go(func() {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				granted.Add(1)
			}
		})
	}
	all.Wait()
	return int(granted.Load())
}

// Codes, refresh tokens and proofs work once, also when all come at once.
func TestOnceAtTheAS(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, everywhere(idjagtest.DPoPPolicy{Accept: true}))
	code := asCodeForm(c, consented(t, c, consentForm(c)).Get("code"))
	refresh := asRefreshForm(c, connected(t, c, consentForm(c)).text("refresh_token"))
	for name, form := range map[string]url.Values{"code": code, "refresh token": refresh} {
		if n := race(t, func() *http.Request { return formRequest(t, c.AS.TokenEndpoint(), c.ASClient, form) }); n != 1 {
			t.Errorf("%s: granted %d times", name, n)
		}
	}
	key := newKey(t, "")
	token := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, asCodeForm(c, consented(t, c, consentForm(c)).Get("code")), "").text("access_token")
	proof := mintProof(t, key, http.MethodPost, c.MCP.URL(), token, "", nil)
	if n := race(t, func() *http.Request {
		req, err := http.NewRequest(http.MethodPost, c.MCP.URL(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "DPoP "+token)
		req.Header.Set("DPoP", proof)
		return req
	}); n != 1 {
		t.Errorf("proof: accepted %d times", n)
	}
}

func TestRecordOfTheASHoldsNoSecret(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, everywhere(idjagtest.DPoPPolicy{Accept: true}), ownGrant, func(c *idjagtest.Company) {
		c.ASClient.Grants = append(c.ASClient.Grants, "authorization_code", "refresh_token")
	})
	key := newKey(t, "")
	code := consented(t, c, consentForm(c)).Get("code")
	tokens := postProof(t, key, c.AS.TokenEndpoint(), c.ASClient, asCodeForm(c, code), "")
	jwt, err := c.Platform("https://builds.example").Mint("robot", c.AS.Issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, tokens.text("refresh_token")))
	post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, workloadForm(c, jwt))
	own := post(t, c.AS.TokenEndpoint(), c.ASClient, ownForm(c))
	registered := native(idjagtest.AuthBasic)
	registered["client_secret"] = "chosen-by-the-client"
	postJSON(t, c.AS.RegistrationEndpoint(), registered)
	proof := mintProof(t, key, http.MethodPost, c.MCP.URL(), tokens.text("access_token"), "", nil)
	callWithProof(t, c, "DPoP "+tokens.text("access_token"), proof)

	requests := append(c.AS.Requests(), c.MCP.Requests()...)
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf("%s %v", text, requests)
	for name, clear := range map[string]string{
		"password": c.Person.Password, "code": code, "verifier": verifier, "refresh token": tokens.text("refresh_token"),
		"client secret": c.ASClient.Secret, "platform's JWT": jwt, "access token": own.text("access_token"),
		"registered secret": "chosen-by-the-client", "bound token": tokens.text("access_token"), "proof": proof,
	} {
		if clear == "" || strings.Contains(record, clear) {
			t.Errorf("the record has the %s (or it is empty)", name)
		}
	}
}

func TestStandardQuirks(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	c.AS.SetQuirks(idjagtest.PlainPKCE(), idjagtest.WiderScope(idjagtest.Code, "admin"), idjagtest.RegisteredElsewhere("https://evil.example/me"),
		idjagtest.IssWrong("https://evil.example"))
	if got := get(t, c.AS.MetadataURL()); fmt.Sprint(got.body["code_challenge_methods_supported"]) != "[plain]" {
		t.Errorf("metadata is %s", got.raw)
	}
	if got := postJSON(t, c.AS.RegistrationEndpoint(), native(idjagtest.AuthNone)); got.text("registration_client_uri") != "https://evil.example/me" {
		t.Errorf("registration: %s", got.raw)
	}
	back := consented(t, c, consentForm(c))
	tokens := post(t, c.AS.TokenEndpoint(), c.ASClient, asCodeForm(c, back.Get("code")))
	if back.Get("iss") != "https://evil.example" || tokens.text("scope") != "read offline_access admin" {
		t.Errorf("sent back %v, then %s", back, tokens.raw)
	}
	c.AS.SetQuirks(idjagtest.IssNotSent())
	if back := consented(t, c, consentForm(c)); back.Has("iss") {
		t.Errorf("sent back %v", back)
	}
}
