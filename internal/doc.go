// Package internal holds the house of mcpauth; this page is its plan.
//
// A request for a token goes one way through it, and a stage looks only back
// along the way:
//
//	person ── signin ──> identity ──> grant ──> token ──> deliver ──> MCP client
//	          browser    verified     ID-JAG    access    print,
//	                     ID token     from      token,    headers
//	                     in the       the IdP   cached
//	                     keychain                 ▲
//	                                  consent ────┘  by a person, for servers outside EMA
//
// One sign-in per identity provider serves every server and every MCP client.
//
//	cmd/mcpauth/            main: signals, the real world, the exit code; links no fake and no MCP SDK
//	cmd/mcpauth-demo/       the practice company, and the whole flow told against it with the same code
//	pkg/                    what other Go programs may import; knows no cobra, keychain, file or environment
//	  idjag/                the two legs and the assertion: Exchange, Redeem, Parse; a Verifier for authorization servers
//	  discover/             MCP server URL -> resource identifier -> authorization server -> endpoints
//	  endpoint/             one form POST to an OAuth endpoint, one strict JSON answer, one typed error
//	  clientauth/           how a client proves itself: none, client_secret_basic, client_secret_post, private_key_jwt
//	  dpop/                 proofs that a client holds the key its tokens are bound to
//	  cimd/                 Client ID Metadata Documents: generate, lint, compare
//	  secret/               secret.Text, a string that refuses to be printed
//	  idjagtest/            strict fakes: identity provider, authorization server, MCP server
//	  mcptoken/             access tokens for Go programs, by running mcpauth: oauth2.TokenSource and the MCP SDK's OAuthHandler
//	internal/
//	  signin/               brings a person through the identity provider and back, over a loopback address
//	  identity/             who is signed in: verify, keep, renew, forget
//	  grant/                decides which ID-JAG is needed and asks the identity provider for it
//	  consent/              what a person agrees to where no company decides: authorization code, client registration, renewal
//	  token/                access tokens per server: cache, one flight at a time over all processes, pins
//	  deliver/              hands a token out: bare, JSON, headers, variables
//	    bridge/             a stdio MCP server that forwards to the remote one and owns the token
//	    proxy/              a listener on loopback for all servers, which adds the token
//	    clients/            writes mcpauth into the MCP clients' own configuration files, and takes it out again
//	  stage/                names the leg of the flow in which something went wrong, and the parties to it
//	  vault/                secrets at rest: OS keychain, sealed files
//	  clientkey/            private keys by name, kept in the vault, with which mcpauth proves itself as a client
//	  pace/                 not all at once: when to renew, when to ask again a party that is out of order, who fetches for all
//	  state/                what is not secret, written atomically; locks between processes
//	  config/               flags, variables and file resolved once, each value knowing its source
//	  ownfile/              files of the person's own: who else could have written them, and replacing them whole
//	  jsonedit/             JSON with comments, changed in its text
//	  tomledit/             TOML, changed in its text
//	  yamledit/             YAML, changed in its text
//	  wire/                 the one HTTP client: which secret may go where, address guard, limits; the sanitiser
//	  strictjson/           one JSON object written by a stranger: exact names, each once
//	  ownjson/              JSON that this program wrote itself, read fast
//	  company/              the practice company on loopback: identity provider, authorization servers, MCP servers
//	  cli/                  cobra, one file a verb, and explain.go: error -> hint and exit code
//	  arch/                 the import table, as a test
//
// # The way of one call
//
// "mcpauth token wiki" starts in cmd/mcpauth, which hands the real world to
// cli.Main. cli/token.go reads the configuration and asks token.Source.Get, which
// looks into the sealed cache and returns what is good for long enough. Otherwise
// it takes the lock of this token, looks again, and lets Acquire work: discover
// finds the resource and its authorization server and locate.go compares that with
// the pin, while identity.Provider finds the identity provider's endpoint; then
// grant.Get exchanges the ID token for an ID-JAG beside the reading of the
// authorization server's metadata; then idjag.Redeem spends it. All requests leave
// through wire, whose table refuses a secret any destination but its own. deliver
// writes the token, or explain.go the reason why not.
//
// # Numbers in comments and tests
//
// Checks and attacks have numbers, so that a test can say which one it is about: T1
// to T10 are the checks of an ID token, X1 to X17 those of the answer to an
// exchange, A1 to A9 those of the answer to a redemption, S1 to S39 attacks and
// their defence. Plain numbers such as 1.1.6 are steps of the flow: 1.1 finds the
// server's metadata, 1.2 the authorization server's, 1.4 signs in, 1.5 exchanges,
// 1.6 redeems, 1.7 and 1.8 use the token, and 2.4 is the table of errors.
//
// # To add a verb
//
// Write cli/verb.go with an options struct, a constructor that binds its flags, and
// a function that does the work and knows no cobra; add it in cli/root.go; add a
// script in testdata/script and run the tests with -update for the help page. New
// kinds of errors get their words in cli/explain.go, and nowhere else.
//
// # To add an MCP client
//
// Write a row in deliver/clients/table.go, a line in the table of the README and a
// script testdata/script/setup_client.txtar with the file before and after. Take the
// file and the shape of an entry from the maker's documentation or source.
package internal
