package idjag_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Both legs: an ID token becomes an ID-JAG, and the ID-JAG an access token.
func ExampleExchange() {
	var tb cleanups // in a test: t
	defer tb.run()
	company := idjagtest.New(&tb)
	ctx := context.Background()

	grant, err := idjag.Exchange(ctx, http.DefaultClient, idjag.ExchangeRequest{
		Endpoint:     company.IdP.TokenEndpoint(),
		Issuer:       company.IdP.Issuer,
		Client:       clientauth.Client{ID: company.IdPClient.ID, Secret: secret.New(company.IdPClient.Secret)},
		SubjectToken: secret.New(company.MintIDToken(nil)), // from signing in
		Audience:     company.AS.Issuer,
		Resource:     company.MCP.Resource,
		Scopes:       []string{"read", "admin"},
		ASClientID:   company.ASClient.ID,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("granted:", grant.Scopes, "not granted:", grant.Reduced)

	token, err := idjag.Redeem(ctx, http.DefaultClient, idjag.RedeemRequest{
		Endpoint: company.AS.TokenEndpoint(),
		Client:   clientauth.Client{ID: company.ASClient.ID, Secret: secret.New(company.ASClient.Secret)},
		Grant:    grant,
		Resource: company.MCP.Resource,
		Scopes:   grant.Scopes,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type, token.AccessToken, token.Scopes)

	// An ID-JAG is good for one token.
	_, err = idjag.Redeem(ctx, http.DefaultClient, idjag.RedeemRequest{
		Endpoint: company.AS.TokenEndpoint(),
		Client:   clientauth.Client{ID: company.ASClient.ID, Secret: secret.New(company.ASClient.Secret)},
		Grant:    grant,
	})
	var refused *idjag.Error
	if errors.As(err, &refused) {
		fmt.Println("again:", refused.Code)
	}
	// Output:
	// granted: [read] not granted: [admin]
	// Bearer [secret] [read]
	// again: invalid_grant
}

// The token endpoint of an authorization server that takes ID-JAGs.
func ExampleVerifier() {
	var tb cleanups // in a test: t
	defer tb.run()
	company := idjagtest.New(&tb)

	verifier := &idjag.Verifier{
		Issuer:    company.AS.Issuer,
		IdPs:      map[string]idjag.KeySet{company.IdP.Issuer: oidc.NewRemoteKeySet(context.Background(), company.IdP.Issuer+"/jwks")},
		Resources: []string{company.MCP.Resource},
		Replay:    &idjag.MemoryReplay{},
	}
	token := func(w http.ResponseWriter, r *http.Request) {
		clientID, _, ok := r.BasicAuth() // and check the secret
		if !ok || r.PostFormValue("grant_type") != idjag.GrantTypeJWTBearer {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		claims, err := verifier.Verify(r.Context(), secret.New(r.PostFormValue("assertion")), clientID)
		var refused *idjag.VerifyError
		switch {
		case errors.As(err, &refused): // the code is for the client, the reason for the log
			http.Error(w, fmt.Sprintf(`{"error":%q}`, refused.Code), http.StatusBadRequest)
			return
		case err != nil: // no keys, no store: it may work later
			http.Error(w, `{"error":"temporarily_unavailable"}`, http.StatusServiceUnavailable)
			return
		}
		scopes := claims.GrantedScopes(r.PostFormValue("scope"))
		fmt.Fprintf(w, `{"access_token":"…","token_type":"Bearer","expires_in":300,"scope":%q}`, strings.Join(scopes, " "))
	}

	form := url.Values{"grant_type": {idjag.GrantTypeJWTBearer}, "assertion": {company.MintIDJAG(nil)}, "scope": {"read"}}
	for range 2 {
		r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(company.ASClient.ID, "…")
		w := httptest.NewRecorder()
		token(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 {"access_token":"…","token_type":"Bearer","expires_in":300,"scope":"read"}
	// 400 {"error":"invalid_grant"}
}

// cleanups does for an example what *testing.T does for a test.
type cleanups struct{ list []func() }

func (c *cleanups) Helper()                           {}
func (c *cleanups) Cleanup(f func())                  { c.list = append(c.list, f) }
func (c *cleanups) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func (c *cleanups) run() {
	for _, f := range c.list {
		f()
	}
}
