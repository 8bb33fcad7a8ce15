package mcptoken_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"

	"github.com/mcpauth/mcpauth/pkg/mcptoken"
)

// A client of the official SDK that reaches a server with the sign-in of whoever
// runs it.
func Example() {
	client := mcp.NewClient(&mcp.Implementation{Name: "reporter", Version: "1.0"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{
		Endpoint:     "https://wiki.example/mcp",
		OAuthHandler: &mcptoken.Source{Server: "wiki"},
	}, nil)
	var refused *mcptoken.Error
	if errors.As(err, &refused) && refused.ExitCode == 3 {
		fmt.Println("sign in first: mcpauth login")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
}

// Any HTTP client, with a token in each request that is renewed in time.
func ExampleSource_Token() {
	client := &http.Client{Transport: &oauth2.Transport{Source: &mcptoken.Source{Server: "wiki"}}}
	resp, err := client.Get("https://wiki.example/mcp")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
}

// Without mcpauth there is a plain error, before any request is sent.
func ExampleSource_TokenContext() {
	s := &mcptoken.Source{Server: "wiki", Command: []string{"/nowhere/mcpauth"}}
	_, err := s.TokenContext(context.Background())
	fmt.Println(err != nil)
	// Output: true
}
