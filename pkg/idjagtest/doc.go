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
// The parties listen on loopback only and make their keys and secrets when they
// start. They are for tests and demonstrations: they keep everything in memory,
// for ever, and limit nobody's rate.
//
// What they do not do: DPoP, mutual TLS, the device grant, SAML, encrypted
// ID-JAGs (Encrypted only looks like one), rich authorization requests, and the
// authorization-code flow at the AS.
package idjagtest
