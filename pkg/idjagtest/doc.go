// Package idjagtest has strict fakes of the three parties that a client of MCP
// Enterprise-Managed Authorization talks to: the company's identity provider
// (IdP), an MCP server's authorization server (AS), and the MCP server itself.
//
// They are strict: keys are real, signatures are checked, codes, client
// assertions and ID-JAGs work once, issuers, audiences, resources and client IDs
// are compared byte for byte, and one request authenticates in exactly one way.
// A client that sends something wrong gets the OAuth error that a good product
// would send, and the reason is kept: print Refusals when a test fails. What a
// specification makes a server forgive is forgiven and noted in Request.Notes.
//
// Both sides of the field can be tested. A client is run against all three. An
// authorization server is given what MintIDJAG signs, bent claim by claim, and
// the IdP's JWKS.
//
//	c := idjagtest.New(t)
//	c.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"}) // refuse
//	c.IdP.SetQuirks(idjagtest.NoIssuedTokenType())                              // agree, oddly
//	c.IdP.RevokePerson(c.Person.Subject)                                        // have them leave the company
//
// The authorization server is also the standard OAuth 2.1 server that MCP servers
// outside enterprise-managed authorization have: consent with PKCE and rotating
// refresh tokens, registration, metadata documents as client IDs, client
// credentials, workload identities. Each is switched on by a field of AS, and
// Standard and Legacy are options that switch on what most servers have.
//
//	c := idjagtest.New(t, idjagtest.Standard)
//	c.SignIn(authorizeURL)                    // sign in at the AS, agree, visit the callback
//	c.AS.RevokeConsents(c.Person.Subject)     // the next refresh gets invalid_grant
//	c.AS.RemoveClient(c.AS.Registered()[0].ID) // the AS forgets who registered
//
// All three check proofs of possession (DPoP) when their Party.DPoP says so.
//
// The parties listen on loopback only and make their keys and secrets when they
// start. They are for tests and demonstrations: they keep everything in memory,
// for ever, and limit nobody's rate.
//
// What they do not do: mutual TLS, the device grant, SAML, encrypted ID-JAGs
// (Encrypted only looks like one), rich and pushed authorization requests, reading
// or changing a registration (RFC 7592), and caching of what they fetch.
package idjagtest
