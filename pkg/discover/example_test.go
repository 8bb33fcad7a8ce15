package discover_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

// From the URL of an MCP server to the endpoint that hands out its tokens.
func Example() {
	srv := httptest.NewServer(nil)
	defer srv.Close()
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-protected-resource/mcp":
			fmt.Fprintf(w, `{"resource":"%[1]s/mcp","authorization_servers":["%[1]s"]}`, srv.URL)
		case "/.well-known/oauth-authorization-server":
			fmt.Fprintf(w, `{"issuer":"%[1]s","token_endpoint":"%[1]s/token"}`, srv.URL)
		}
	})

	ctx := context.Background()
	c := discover.Client{HTTP: srv.Client()}
	res, err := c.Resource(ctx, srv.URL+"/mcp")
	if err != nil {
		fmt.Println(err)
		return
	}
	as, err := c.AuthorizationServer(ctx, res.AuthorizationServers[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Match, strings.TrimPrefix(as.TokenEndpoint, srv.URL))
	// Output: exact /token
}

func ExampleChallenges() {
	h := http.Header{}
	h.Add("WWW-Authenticate", `Basic realm="old", Bearer error="invalid_token", resource_metadata="https://wiki.example/meta"`)
	list, err := discover.Challenges(h)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range list {
		fmt.Printf("%s %q %q\n", c.Scheme, c.ErrorCode(), c.ResourceMetadata())
	}
	// Output:
	// basic "" ""
	// bearer "invalid_token" "https://wiki.example/meta"
}
