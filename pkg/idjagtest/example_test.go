package idjagtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// Whoever has no *testing.T starts the parties by hand. Here an IdP refuses a
// client that names no resource, and says why.
func Example() {
	idp := &idjagtest.IdP{}
	idp.AddPerson(idjagtest.Person{Subject: "alice"})
	idp.AddClient(idjagtest.Client{ID: "cli", Method: idjagtest.AuthNone})
	idp.AddConnection(idjagtest.Connection{Audience: "https://as.example", Resource: "https://mcp.example/mcp", ClientID: "cli-at-as"})
	if err := idp.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer idp.Close()
	idToken, err := idp.MintIDToken("alice", "cli", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Post(idp.TokenEndpoint(), "application/x-www-form-urlencoded", strings.NewReader(url.Values{
		"client_id":            {"cli"},
		"grant_type":           {idjagtest.GrantExchange},
		"requested_token_type": {idjagtest.TypeIDJAG},
		"audience":             {"https://as.example"},
		"subject_token":        {idToken},
		"subject_token_type":   {idjagtest.TypeIDToken},
	}.Encode()))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(idp.Count(idjagtest.Exchange), idp.Granted(idjagtest.Exchange))
	fmt.Println(idp.Refusals()[0])
	// Output:
	// 1 0
	// exchange POST /token: 400 client="cli" by none person="alice" invalid_request: parameter resource is missing
}
