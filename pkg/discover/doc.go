// Package discover finds out, from the URL of an MCP server, what that server
// calls itself, which authorization server guards it, and where the endpoints
// of that authorization server and of the company's identity provider are.
//
// It is the first stage of the way to a token. What comes after it, the
// exchange and the redemption, is in package idjag.
//
//	c := discover.Client{HTTP: hc}
//	res, err := c.Resource(ctx, "https://wiki.example/mcp")              // RFC 9728
//	as, err := c.AuthorizationServer(ctx, res.AuthorizationServers[0])   // RFC 8414
//	idp, err := c.IdP(ctx, "https://login.example")                      // OpenID Connect Discovery
//
// With everything in its usual place each call costs one request. Nothing that
// is sent is secret, so a question put to the wrong host leaks no credential.
//
// # What is checked
//
// A resource identifier must be the server's URL or a parent of it on the same
// origin. An issuer must be, byte for byte, the one that was asked for. Every
// URL that the network names must be absolute, https (plain http only between
// loopback hosts), without userinfo and without fragment. A redirect to another
// origin is not an answer.
//
// # What is not checked
//
// Whether the authorization server that a resource names is one the company
// trusts: the caller pins it (attacks S2, S3, S5). Whether a host name leads to
// a private address: that is the HTTP client's dial guard (S8). Signed metadata
// is ignored, as RFC 9728 section 2.2 allows. Names and descriptions are a
// stranger's text: clean them before a terminal sees them (S17).
package discover
