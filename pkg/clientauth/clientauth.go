// Package clientauth proves to an authorization server which client is asking:
// with nothing, a secret or a signed assertion (RFC 6749 section 2.3, RFC 7523
// section 2.2).
//
// A client has one registration at the identity provider and another one at
// each MCP server's authorization server; each is a Client of its own, bound to
// the issuer that gave it.
//
//	c := clientauth.Client{ID: "wiki-mcp", Secret: secret.New(s), Issuer: issuer}
//	c.Method, err = c.Choose(metadata.TokenEndpointAuthMethods)
//	err = c.Apply(req, form)
package clientauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Method is a token endpoint authentication method, by its registered name
// (RFC 7591 section 2, OpenID Connect Core section 9).
type Method string

// The methods that Client.Apply knows.
const (
	None          Method = "none"
	SecretBasic   Method = "client_secret_basic"
	SecretPost    Method = "client_secret_post"
	PrivateKeyJWT Method = "private_key_jwt"
)

// Audiences of a client assertion that Client.Audience names by a word.
const (
	AudienceIssuer        = "issuer"         // the authorization server's issuer (draft-ietf-oauth-rfc7523bis)
	AudienceTokenEndpoint = "token_endpoint" // the URL that is posted to (RFC 7523 section 3; Okta)
)

// Client is one registration of a client at one issuer. The zero value is no
// client: ID is required.
type Client struct {
	ID     string
	Secret secret.Text // for the two secret methods
	Key    *Key        // for PrivateKeyJWT

	// Method says how to authenticate. Empty means what Choose picks for a server
	// whose metadata says nothing; use Choose to pick by the metadata.
	Method Method

	// Issuer is the authorization server that gave the registration. It is the
	// default audience of an assertion.
	Issuer string

	// Audience is the audience of an assertion: AudienceIssuer (the default),
	// AudienceTokenEndpoint, or any other string, sent as it is.
	Audience string

	// RawBasic sends ID and secret in the Basic header without the form
	// encoding that RFC 6749 section 2.3.1 demands, for servers that do not
	// decode it. An ID with a colon cannot be sent so.
	RawBasic bool

	Now func() time.Time // nil means time.Now
}

// ErrNoMethod is returned by Choose when no method fits both the server's
// metadata and what the client holds.
var ErrNoMethod = errors.New("no client authentication method in common")

// Choose returns the client's Method if one is set, and else the first of
// private_key_jwt, client_secret_basic, client_secret_post and none that the
// server supports and for which the client holds what it takes. A nil supported
// means that the metadata says nothing: what the client holds decides then, and
// a secret goes into the Basic header (RFC 8414 section 2).
//
// A client that holds a secret or a key never falls back to none. One that holds
// nothing can only try none, whatever the metadata says: many servers that take
// public clients do not list it.
func (c Client) Choose(supported []string) (Method, error) {
	if c.Method != "" {
		return c.Method, c.holds(c.Method)
	}
	if c.Key == nil && c.Secret.IsZero() {
		return None, nil
	}
	for _, m := range []Method{PrivateKeyJWT, SecretBasic, SecretPost} {
		if c.holds(m) == nil && (supported == nil || slices.Contains(supported, string(m))) {
			return m, nil
		}
	}
	return "", fmt.Errorf("%w: the server takes %s, the client %q holds %s",
		ErrNoMethod, strings.Join(quoted(supported), ", "), c.ID, c.holdings())
}

// Apply adds the proof to a request for a token endpoint: to its header, or to
// the form that will be its body. It sets client_id in the form for every method
// but client_secret_basic, and removes what an earlier Apply left there, since
// one method only may be used (RFC 6749 section 2.3). The request's URL must be
// set and form must not be nil. Apply does not look where the request goes.
func (c Client) Apply(req *http.Request, form url.Values) error {
	if c.ID == "" {
		return errors.New("authenticate client: no client id")
	}
	if form == nil {
		return errors.New("authenticate client: no form")
	}
	method, err := c.Choose(nil)
	if err != nil {
		return fmt.Errorf("authenticate client %q: %w", c.ID, err)
	}
	req.Header.Del("Authorization")
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	switch method {
	case SecretBasic:
		id, sec := c.ID, c.Secret.Reveal()
		if !c.RawBasic {
			id, sec = url.QueryEscape(id), url.QueryEscape(sec)
		}
		if strings.Contains(id, ":") { // RFC 7617 section 2: the server would split there
			return fmt.Errorf("authenticate client %q: an id with a colon needs the form encoding", c.ID)
		}
		req.SetBasicAuth(id, sec)
		return nil
	case SecretPost:
		form.Set("client_secret", c.Secret.Reveal())
	case PrivateKeyJWT:
		assertion, err := c.assertion(req.URL.String())
		if err != nil {
			return fmt.Errorf("authenticate client %q: %w", c.ID, err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	form.Set("client_id", c.ID)
	return nil
}

// holds returns an error that says what the client lacks for a method.
func (c Client) holds(m Method) error {
	switch m {
	case None:
		return nil
	case SecretBasic, SecretPost:
		if c.Secret.IsZero() {
			return fmt.Errorf("%s needs a client secret", m)
		}
		return nil
	case PrivateKeyJWT:
		if c.Key == nil {
			return fmt.Errorf("%s needs a key", m)
		}
		return nil
	}
	return fmt.Errorf("client authentication method %q is not supported", string(m))
}

func (c Client) holdings() string {
	var have []string
	if c.Key != nil {
		have = append(have, "a key")
	}
	if !c.Secret.IsZero() {
		have = append(have, "a secret")
	}
	if have == nil {
		return "neither a secret nor a key"
	}
	return strings.Join(have, " and ")
}

func quoted(list []string) []string {
	if len(list) == 0 {
		return []string{"nothing"}
	}
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return q
}
