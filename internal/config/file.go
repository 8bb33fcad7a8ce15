package config

// The types in this file are the user's file. Their tags are the one place
// that knows a key: "json" spells it (a key without omitempty is required),
// "jsonschema" describes it for editors, "check" names the rules of check.go,
// "default" is what an absent key means, and "flag" is the command-line
// spelling, from which the variable's name follows.

// File is a configuration file, or what several layers of it add up to.
type File struct {
	Schema  string            `json:"$schema,omitempty" check:"text" jsonschema:"Where an editor finds the schema of this file. mcpauth does not read it."`
	Managed Managed           `json:"enterpriseManagedAuth,omitzero" jsonschema:"The company sign-in: one identity provider, or several with names."`
	Servers map[string]Server `json:"mcpServers,omitempty" check:"names" jsonschema:"The MCP servers, by the name to type in commands."`
	Store   Store             `json:"store,omitzero" jsonschema:"Where a sign-in keeps its secrets. What login recorded stays true until the next login."`
	Client  Client            `json:"client,omitzero" jsonschema:"What mcpauth calls itself where nobody registered it beforehand."`
	CAFile  string            `json:"caFile,omitempty" check:"path" flag:"ca-file" jsonschema:"A PEM file with further certificate authorities to trust."`
}

// Managed holds the identity providers (IdPs).
type Managed struct {
	IdP  *IdP           `json:"idp,omitempty" jsonschema:"The identity provider that servers use unless they name another. Its name is default."`
	IdPs map[string]IdP `json:"idps,omitempty" check:"names" jsonschema:"Further identity providers, by name."`
	// AllowFallback is the organisation's word on servers whose mode is auto.
	AllowFallback bool `json:"allowFallback,omitempty" jsonschema:"Whether a server with mode auto may be used with the person's own consent when its authorization server takes no enterprise-managed sign-in."`
}

// Client is who mcpauth is to authorization servers that take a Client ID Metadata
// Document, one company's for all servers.
type Client struct {
	MetadataURL string `json:"metadataUrl,omitempty" check:"cimd" jsonschema:"The URL of the company's Client ID Metadata Document for mcpauth. It is the client ID as well."`
	ClientAuth  Auth   `json:"clientAuth,omitzero" jsonschema:"How mcpauth proves itself as that client: none, or private_key_jwt with a key that the document lists."`
}

// IdP is an identity provider and our registration with it.
type IdP struct {
	Name          string   `json:"-"` // DefaultIdP for the block called "idp"
	Issuer        string   `json:"issuer" check:"issuer" flag:"issuer" jsonschema:"The issuer URL, exactly as the identity provider publishes it."`
	IdPClientID   string   `json:"clientId" check:"vschar" flag:"client-id" jsonschema:"The client ID that the identity provider gave to mcpauth."`
	ClientAuth    Auth     `json:"clientAuth,omitzero" jsonschema:"How mcpauth proves itself to the identity provider."`
	TokenEndpoint string   `json:"tokenEndpoint,omitempty" check:"url" flag:"token-endpoint" jsonschema:"The token endpoint of an identity provider that publishes no metadata."`
	Scopes        []string `json:"scopes,omitempty" check:"scope" flag:"scope" jsonschema:"Scopes to ask for at sign-in, beyond openid."`
	OfflineAccess *bool    `json:"offlineAccess,omitempty" jsonschema:"Whether to ask for offline_access. Absent: when the identity provider lists it."`
	Prompt        string   `json:"prompt,omitempty" check:"text" jsonschema:"The prompt parameter of the sign-in, such as select_account."`
	ACRValues     []string `json:"acrValues,omitempty" check:"scope" jsonschema:"The acr_values parameter of the sign-in, in order of preference."`
	LoginHint     string   `json:"loginHint,omitempty" check:"text" jsonschema:"The login_hint parameter of the sign-in."`
	RedirectHost  string   `json:"redirectHost,omitempty" check:"oneof=127.0.0.1|localhost|[::1]" default:"127.0.0.1" jsonschema:"The loopback name in the redirect URI, as registered."`
	RedirectPort  int      `json:"redirectPort,omitempty" check:"port" flag:"redirect-port" default:"0" jsonschema:"The port in the redirect URI. 0 takes any free one."`
	SubjectToken  string   `json:"subjectToken,omitempty" check:"oneof=auto|id_token|refresh_token" default:"auto" jsonschema:"What to present when asking for an ID-JAG."`
}

// Server is an MCP server.
type Server struct {
	Name  string `json:"-"`
	Type  string `json:"type,omitempty" check:"oneof=http" jsonschema:"The transport. mcpauth serves streamable HTTP only."`
	URL   string `json:"url" check:"url" jsonschema:"The URL of the MCP server."`
	OAuth OAuth  `json:"oauth,omitzero" jsonschema:"How to get an access token for it."`
}

// OAuth says how to get an access token for one MCP server, and what is known
// beforehand about its authorization server (AS).
type OAuth struct {
	EnterpriseManaged *bool    `json:"enterpriseManaged,omitempty" jsonschema:"Another spelling of mode: true is ema, false is oauth."`
	Mode              string   `json:"mode,omitempty" check:"oneof=ema|oauth|auto|client_credentials|workload" default:"ema" jsonschema:"Who says yes: ema the identity provider, oauth the person, auto whichever the authorization server offers and the organisation allows, client_credentials nobody but the client itself, workload the platform that this program runs on."`
	IdP               string   `json:"idp,omitempty" check:"text" jsonschema:"The name of the identity provider. Absent: the default one."`
	ASClientID        string   `json:"clientId,omitempty" check:"vschar" flag:"client-id" jsonschema:"The client ID that the server's authorization server gave to mcpauth, or the URL of a Client ID Metadata Document. A managed server needs one."`
	ClientAuth        Auth     `json:"clientAuth,omitzero" jsonschema:"How mcpauth proves itself to the authorization server."`
	Scopes            []string `json:"scopes,omitempty" check:"scope" flag:"scope" jsonschema:"Scopes to ask for."`
	RequireScopes     []string `json:"requireScopes,omitempty" check:"scope" jsonschema:"Scopes without which a token is useless."`
	MaxScopes         []string `json:"maxScopes,omitempty" check:"scope" jsonschema:"The scopes that a server may make the bridge ask for while it runs, on top of scopes. Absent: whatever the identity provider grants."`
	Issuer            string   `json:"issuer,omitempty" check:"issuer" flag:"issuer" jsonschema:"Pins the authorization server to this issuer."`
	Resource          string   `json:"resource,omitempty" check:"uri" jsonschema:"The resource identifier, for a server that publishes none."`
	Audience          string   `json:"audience,omitempty" check:"text" jsonschema:"The audience to ask the identity provider for, when it is not the issuer."`
	ExpectAudience    string   `json:"expectAudience,omitempty" check:"text" jsonschema:"The audience the ID-JAG must carry, when it is not the issuer."`
	SendResource      *bool    `json:"sendResource,omitempty" default:"true" jsonschema:"Whether to send the resource parameter."`
	SendScope         *bool    `json:"sendScope,omitempty" default:"true" jsonschema:"Whether to send the scope parameter."`
	TokenEndpoint     string   `json:"tokenEndpoint,omitempty" check:"url" jsonschema:"The token endpoint of an authorization server that publishes no metadata."`
	Registration      string   `json:"registration,omitempty" check:"oneof=auto|off" default:"auto" jsonschema:"Whether mcpauth may register itself with an authorization server that does not know it (Dynamic Client Registration)."`
	LegacyDiscovery   bool     `json:"legacyDiscovery,omitempty" jsonschema:"For servers of MCP 2025-03-26, which publish no resource metadata: their own origin is the authorization server."`
	Prompt            string   `json:"prompt,omitempty" check:"text" jsonschema:"The prompt parameter of a consent. Absent: consent when a refresh token is asked for. off: none."`
	DPoP              string   `json:"dpop,omitempty" check:"oneof=auto|off|required" default:"auto" jsonschema:"Whether tokens are bound to a key: auto when the server demands it, required always, off never."`
	RedirectHost      string   `json:"redirectHost,omitempty" check:"oneof=127.0.0.1|localhost|[::1]" default:"127.0.0.1" jsonschema:"The loopback name in the redirect URI of a consent, as registered."`
	RedirectPort      int      `json:"redirectPort,omitempty" check:"port" default:"0" jsonschema:"The port in the redirect URI of a consent. 0 takes any free one."`
	RedirectPath      string   `json:"redirectPath,omitempty" check:"urlpath" default:"/callback" jsonschema:"The path in the redirect URI of a consent, as registered beforehand."`
	Workload          Workload `json:"workload,omitzero" jsonschema:"Where the platform's token comes from, for mode workload."`
	AccessRequestURL  string   `json:"accessRequestUrl,omitempty" check:"url" jsonschema:"Where people ask for access to this server; shown when access is refused."`
}

// Workload says where to read the JWT with which a platform vouches for this
// program: a build runner, a pod, a virtual machine. It is read for every request.
type Workload struct {
	TokenFile    string   `json:"tokenFile,omitempty" check:"path" jsonschema:"A file that holds the platform's JWT."`
	TokenCommand []string `json:"tokenCommand,omitempty" check:"argv" jsonschema:"A program and its arguments that print the platform's JWT. No shell is involved."`
}

// Auth says how a client proves itself to a token endpoint. It names places of
// secrets and never holds one. After Load its paths are absolute.
type Auth struct {
	Method            string   `json:"method,omitempty" check:"oneof=none|client_secret_basic|client_secret_post|private_key_jwt" flag:"client-auth" jsonschema:"The authentication method. Absent: by metadata and by what is at hand."`
	SecretFile        string   `json:"secretFile,omitempty" check:"path" flag:"client-secret-file" jsonschema:"A file that holds the client secret."`
	SecretCommand     []string `json:"secretCommand,omitempty" check:"argv" jsonschema:"A program and its arguments that print the client secret. No shell is involved."`
	KeyFile           string   `json:"keyFile,omitempty" check:"path" flag:"client-key-file" jsonschema:"A private key for private_key_jwt, PEM or JWK."`
	KeyName           string   `json:"key,omitempty" check:"text" jsonschema:"The name of a private key that mcpauth keys generate made, for private_key_jwt."`
	KeyID             string   `json:"keyId,omitempty" check:"text" jsonschema:"The key ID to put into assertions."`
	AssertionAudience string   `json:"assertionAudience,omitempty" check:"text" jsonschema:"The audience of assertions: issuer, token_endpoint, or the string itself."`
	BasicEncoding     string   `json:"basicEncoding,omitempty" check:"oneof=form|raw" default:"form" jsonschema:"How client_secret_basic encodes: form as RFC 6749 says, raw for servers that decode nothing."`
}

// Store says where secrets are kept. Kind is empty when nobody chose.
type Store struct {
	Kind           string `json:"kind,omitempty" check:"oneof=keychain|file" flag:"store" default:"keychain" jsonschema:"keychain, or file for a sealed file on machines without one."`
	KeyFile        string `json:"keyFile,omitempty" check:"path" flag:"store-key-file" jsonschema:"The age identity that opens the sealed file."`
	PassphraseFile string `json:"passphraseFile,omitempty" check:"path" flag:"store-passphrase-file" jsonschema:"A file with the passphrase that opens the sealed file."`
}

// DefaultIdP is the name of the identity provider in the block called "idp".
const DefaultIdP = "default"

// WantsOfflineAccess reports whether to ask for offline_access. listed says
// whether the IdP's metadata lists it, which decides when the key is absent.
func (p IdP) WantsOfflineAccess(listed bool) bool {
	if p.OfflineAccess == nil {
		return listed
	}
	return *p.OfflineAccess
}

// RedirectHostOrDefault returns the loopback name of the redirect URI.
func (p IdP) RedirectHostOrDefault() string { return or(p.RedirectHost, "127.0.0.1") }

// SubjectTokenOrDefault returns "auto", "id_token" or "refresh_token".
func (p IdP) SubjectTokenOrDefault() string { return or(p.SubjectToken, "auto") }

// Modes: who says yes to a token.
const (
	ModeEMA               = "ema"
	ModeOAuth             = "oauth"
	ModeAuto              = "auto"
	ModeClientCredentials = "client_credentials"
	ModeWorkload          = "workload"
)

// ModeOrDefault returns one of the modes. A server is managed unless the file says
// otherwise (S28).
func (o OAuth) ModeOrDefault() string {
	switch {
	case o.Mode != "":
		return o.Mode
	case o.EnterpriseManaged != nil && !*o.EnterpriseManaged:
		return ModeOAuth
	}
	return ModeEMA
}

// NeedsIdP reports whether a token may come from the company's sign-in.
func (o OAuth) NeedsIdP() bool {
	mode := o.ModeOrDefault()
	return mode == ModeEMA || mode == ModeAuto
}

// DPoPOrDefault returns "auto", "off" or "required".
func (o OAuth) DPoPOrDefault() string { return or(o.DPoP, "auto") }

// RedirectHostOrDefault returns the loopback name of the redirect URI.
func (o OAuth) RedirectHostOrDefault() string { return or(o.RedirectHost, "127.0.0.1") }

// RedirectPathOrDefault returns the path of the redirect URI.
func (o OAuth) RedirectPathOrDefault() string { return or(o.RedirectPath, "/callback") }

// Registers reports whether mcpauth may register itself.
func (o OAuth) Registers() bool { return o.Registration != "off" }

// SendsResource is true unless the file says otherwise.
func (o OAuth) SendsResource() bool { return o.SendResource == nil || *o.SendResource }

// SendsScope is true unless the file says otherwise.
func (o OAuth) SendsScope() bool { return o.SendScope == nil || *o.SendScope }

// KindOrDefault returns "keychain" or "file".
func (s Store) KindOrDefault() string { return or(s.Kind, "keychain") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
