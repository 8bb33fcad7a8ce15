// Package cimd writes, checks and compares Client ID Metadata Documents
// (draft-ietf-oauth-client-id-metadata-document): an OAuth client whose client ID
// is the https URL of a JSON document about itself, so that an authorization
// server that has never heard of the client can read who it is.
//
// A company hosts one such document for mcpauth; its authorization servers, and
// those of its suppliers, then need no registration each. MCP 2026-07-28 prefers
// these documents to Dynamic Client Registration, and the enterprise-managed
// authorization extension allows such a URL as the client ID of an ID-JAG.
//
//	doc := cimd.Generate(cimd.Options{URL: "https://acme.example/mcpauth.json", Keys: keys})
//	body, err := doc.Encode()
//	for _, f := range cimd.Lint(doc.ClientID, body) {
//		fmt.Println(f)
//	}
package cimd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/strictjson"
)

// Grant types, and the profile of the JWT bearer grant for ID-JAGs
// (draft-ietf-oauth-identity-assertion-authz-grant sections 7 and 8).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	ProfileIDJAG           = "urn:ietf:params:oauth:grant-profile:id-jag"
)

// Methods of client authentication that fit a document that everybody can read.
const (
	MethodNone          = "none"
	MethodPrivateKeyJWT = "private_key_jwt"
)

// MaxSize is how many bytes of a document authorization servers are recommended
// to read (the draft, "Maximum Response Size"). A bigger one may be refused.
const MaxSize = 5 << 10

// Document is what a client says about itself, in the words of RFC 7591 section 2.
type Document struct {
	ClientID                string              `json:"client_id"`
	ClientName              string              `json:"client_name,omitempty"`
	ClientURI               string              `json:"client_uri,omitempty"`
	LogoURI                 string              `json:"logo_uri,omitempty"`
	ApplicationType         string              `json:"application_type,omitempty"` // "native" or "web" (OpenID Connect Registration section 2)
	RedirectURIs            []string            `json:"redirect_uris,omitempty"`
	GrantTypes              []string            `json:"grant_types,omitempty"`
	ResponseTypes           []string            `json:"response_types,omitempty"`
	Scope                   string              `json:"scope,omitempty"`
	TokenEndpointAuthMethod string              `json:"token_endpoint_auth_method,omitempty"`
	JWKS                    *jose.JSONWebKeySet `json:"jwks,omitempty"`
	JWKSURI                 string              `json:"jwks_uri,omitempty"`
	GrantProfiles           []string            `json:"authorization_grant_profiles_supported,omitempty"`
}

// DefaultRedirectURIs are those of mcpauth: the two loopback addresses, without
// a port, since an authorization server takes any there (RFC 8252 section 7.3).
func DefaultRedirectURIs() []string {
	return []string{"http://127.0.0.1/callback", "http://[::1]/callback"}
}

// Options are what a document for mcpauth depends on. URL is required.
type Options struct {
	URL          string            // where the document will be, which is the client ID
	Name         string            // for people; "" means "mcpauth"
	ClientURI    string            // a page about the client; "" leaves it out
	LogoURI      string            // "" leaves it out
	Scope        string            // scopes the client may ask for; "" leaves it to the server
	RedirectURIs []string          // nil means DefaultRedirectURIs
	Keys         []jose.JSONWebKey // their public halves go into the document
	JWKSURI      string            // where the keys are published instead
}

// Generate makes the document of mcpauth as a native application: authorization
// code and refresh token for servers outside enterprise management, token
// exchange and JWT bearer for those within. With keys, or with a URL of keys, the
// client authenticates by private_key_jwt, else not at all: there is no way to
// share a secret in a document that everybody can read. Private halves never get
// into it. Generate does not judge the options: give the result to Lint.
func Generate(o Options) Document {
	d := Document{
		ClientID: o.URL, ClientName: o.Name, ClientURI: o.ClientURI, LogoURI: o.LogoURI, Scope: o.Scope,
		ApplicationType:         "native",
		RedirectURIs:            o.RedirectURIs,
		GrantTypes:              []string{GrantAuthorizationCode, GrantRefreshToken, GrantJWTBearer, GrantTokenExchange},
		ResponseTypes:           []string{"code"},
		GrantProfiles:           []string{ProfileIDJAG},
		TokenEndpointAuthMethod: MethodNone,
		JWKSURI:                 o.JWKSURI,
	}
	if d.ClientName == "" {
		d.ClientName = "mcpauth"
	}
	if d.RedirectURIs == nil {
		d.RedirectURIs = DefaultRedirectURIs()
	}
	if len(o.Keys) > 0 || o.JWKSURI != "" {
		d.TokenEndpointAuthMethod = MethodPrivateKeyJWT
	}
	if len(o.Keys) > 0 {
		d.JWKS = PublicKeys(o.Keys)
	}
	return d
}

// PublicKeys returns the public halves, for publishing. A key that has none, such
// as a symmetric one, is left out.
func PublicKeys(keys []jose.JSONWebKey) *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		if pub := k.Public(); pub.IsPublic() {
			set.Keys = append(set.Keys, pub)
		}
	}
	return set
}

// Encode writes the document as it is to be published.
func (d Document) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("write client metadata: %w", err)
	}
	return b.Bytes(), nil
}

// Parse reads the members of a document that this package knows. It demands one
// JSON object with every name once, and the right types; everything else is for
// Lint to say. Errors never repeat values.
func Parse(body []byte) (Document, error) {
	o, err := strictjson.Parse(body)
	if err != nil {
		return Document{}, fmt.Errorf("read client metadata: %w", err)
	}
	r := &reader{members: o}
	d := Document{
		ClientID: r.text("client_id"), ClientName: r.text("client_name"), ClientURI: r.text("client_uri"),
		LogoURI: r.text("logo_uri"), ApplicationType: r.text("application_type"), RedirectURIs: r.list("redirect_uris"),
		GrantTypes: r.list("grant_types"), ResponseTypes: r.list("response_types"), Scope: r.text("scope"),
		TokenEndpointAuthMethod: r.text("token_endpoint_auth_method"), JWKSURI: r.text("jwks_uri"),
		GrantProfiles: r.list("authorization_grant_profiles_supported"),
	}
	if o.Has("jwks") {
		set, err := ParseKeys(o["jwks"])
		if err != nil {
			r.isNot("jwks", "a JSON Web Key Set")
		}
		d.JWKS = set
	}
	if len(r.wrong) > 0 {
		return Document{}, fmt.Errorf("read client metadata: member %q is not %s", r.wrong[0].name, r.wrong[0].want)
	}
	return d, nil
}

// ParseKeys reads the public keys of a JSON Web Key Set, as it stands in jwks or
// at jwks_uri. Keys of a kind that it does not know are left out (RFC 7517 section
// 5), and so are shared secrets.
func ParseKeys(body []byte) (*jose.JSONWebKeySet, error) {
	o, err := strictjson.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var keys []json.RawMessage
	if !o.Has("keys") || json.Unmarshal(o["keys"], &keys) != nil {
		return nil, fmt.Errorf("read keys: no list %q", "keys")
	}
	var known []jose.JSONWebKey
	for _, raw := range keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil && k.Valid() {
			known = append(known, k)
		}
	}
	return PublicKeys(known), nil
}

// reader takes members out of a document, and remembers those of a wrong type.
type reader struct {
	members strictjson.Object
	wrong   []wrongType
}

type wrongType struct{ name, want string }

// isNot remembers that a member is not what it should be. Members may be read twice.
func (r *reader) isNot(name, want string) {
	if w := (wrongType{name, want}); !slices.Contains(r.wrong, w) {
		r.wrong = append(r.wrong, w)
	}
}

func (r *reader) text(name string) string {
	s, err := r.members.Text(name)
	if err != nil {
		r.isNot(name, "a string")
	}
	return s
}

// list reads an array of strings. Unlike an audience, metadata has no short form
// of one string (RFC 7591 section 2).
func (r *reader) list(name string) []string {
	if !r.members.Has(name) {
		return nil
	}
	list, err := r.members.Texts(name)
	if raw := bytes.TrimSpace(r.members[name]); err != nil || raw[0] != '[' {
		r.isNot(name, "an array of strings")
		return nil
	}
	return list
}
