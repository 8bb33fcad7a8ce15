package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// fake is the strict authorization server of pkg/idjagtest: go-sdk has none for
// others to start.
type fake struct{ as *idjagtest.AS }

func startFake(t *testing.T, server *mcpServer, d *document) authority {
	t.Helper()
	as := &idjagtest.AS{Consent: true, OfflineAccess: true, NoIDJAG: true, Registration: d == nil}
	if d != nil {
		as.CIMD = &idjagtest.CIMDPolicy{Allow: []string{"127.0.0.1"}, Fetch: idjagtest.FetchDocument(d.host.Client())}
	}
	as.AddPerson(idjagtest.Person{Subject: userName, Name: "Alice Liddell", Password: userPassword})
	as.AddResource(server.Resource, readScope, "wiki.write")
	if err := as.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Close)
	return fake{as}
}

func (f fake) protect(server *mcpServer) {
	server.open(oauthex.ProtectedResourceMetadata{AuthorizationServers: []string{f.as.Issuer}},
		func(_ context.Context, value string, _ *http.Request) (*auth.TokenInfo, error) {
			token, live := f.as.Lookup(value)
			if !live || token.Resource != server.Resource {
				return nil, fmt.Errorf("%w: for %q", auth.ErrInvalidToken, token.Resource)
			}
			return &auth.TokenInfo{UserID: token.Subject, Scopes: token.Scopes, Expiration: token.Expires}, nil
		})
}

func (f fake) happened(t *testing.T) (did tally) {
	t.Helper()
	did.Registered = f.as.Granted(idjagtest.Register)
	did.Codes, did.Renewals = f.as.Granted(idjagtest.Code), f.as.Granted(idjagtest.Refresh)
	for _, r := range f.as.Requests() {
		did.Documents = did.Documents || r.What == idjagtest.Authorize && strings.HasPrefix(r.Client, "https://")
		if r.Reason != "" {
			t.Logf("the fake refused: %s", r)
			did.Refused++
		}
		for _, note := range r.Notes {
			t.Errorf("the fake notes a bad habit: %s", note)
		}
	}
	f.as.ForgetRequests()
	return did
}
