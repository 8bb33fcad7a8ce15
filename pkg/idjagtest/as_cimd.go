package idjagtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// CIMDPolicy lets clients come without registration: with an https URL as client
// ID, behind which their metadata document is (Client ID Metadata Document draft;
// MCP 2026-07-28, Client Registration). Documents are read at every use.
type CIMDPolicy struct {
	// Allow lists the hosts that are trusted to name clients: a host, a host with a
	// port, or "*.example" for everything below example. "*" is everybody.
	Allow []string
	// Fetch gets a document or a JWK set; nil means FetchDocument(nil).
	Fetch func(ctx context.Context, url string) ([]byte, error)
}

// maxDocument is how much the draft recommends to read at most.
const maxDocument = 5 << 10

// FetchDocument is the Fetch of a careful server: https, JSON of at most 5 KiB, and
// no redirects. A nil client means http.DefaultClient. It does not look where the
// host is; a server on the internet must (section 6 of the draft).
func FetchDocument(client *http.Client) func(ctx context.Context, url string) ([]byte, error) {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, url string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil || req.URL.Scheme != "https" {
			return nil, fmt.Errorf("fetch document: %q is not an https URL", url)
		}
		resp, err := own.Do(req)
		if err != nil {
			return nil, fmt.Errorf("fetch document: %w", err)
		}
		defer resp.Body.Close()
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if resp.StatusCode != http.StatusOK || (kind != "application/json" && !strings.HasSuffix(kind, "+json")) {
			return nil, fmt.Errorf("fetch document: %s with content type %q", resp.Status, kind)
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
		if err == nil && len(text) > maxDocument {
			err = fmt.Errorf("fetch document: it is over %d bytes", maxDocument)
		}
		return text, err
	}
}

// findClient looks a client up: one that is registered, else one that brings its
// document along.
func (a *AS) findClient(c *call, id string) (Client, *refusal) {
	client, unknown := a.registered(c, id)
	if unknown == nil || a.CIMD == nil || !strings.HasPrefix(id, "https:") {
		return client, unknown
	}
	client, err := a.CIMD.read(c, id)
	if err != nil {
		return Client{}, refuse("invalid_client", "client %q: %v", id, err)
	}
	return client, nil
}

// document is the part of a client's metadata that matters here. Secrets must not
// be in it (section 4.1 of the draft).
type document struct {
	ClientID     string              `json:"client_id"`
	ClientName   string              `json:"client_name"`
	RedirectURIs []string            `json:"redirect_uris"`
	GrantTypes   []string            `json:"grant_types"`
	AuthMethod   string              `json:"token_endpoint_auth_method"`
	JWKS         *jose.JSONWebKeySet `json:"jwks"`
	JWKSURI      string              `json:"jwks_uri"`

	Secret        *string `json:"client_secret"`
	SecretExpires *int64  `json:"client_secret_expires_at"`
}

func (p *CIMDPolicy) read(c *call, id string) (Client, error) {
	if err := p.checkID(id); err != nil {
		return Client{}, err
	}
	text, err := p.fetch(c.r.Context(), id)
	if err != nil {
		return Client{}, err
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return Client{}, errors.New("its document is not a JSON object of client metadata")
	}
	if err := d.check(id); err != nil {
		return Client{}, fmt.Errorf("its document: %w", err)
	}
	if d.AuthMethod == "" {
		c.entry.Notes = append(c.entry.Notes, "the document leaves token_endpoint_auth_method out, whose default needs a secret; taken as none")
		d.AuthMethod = AuthNone
	}
	client := Client{ID: id, Name: d.ClientName, Method: d.AuthMethod, RedirectURIs: d.RedirectURIs, Grants: d.GrantTypes}
	if client.Grants == nil {
		client.Grants = []string{grantCodeFlow} // RFC 7591 section 2
	}
	if d.AuthMethod == AuthPrivateKeyJWT {
		if client.PublicKeys, err = p.keys(c.r.Context(), d); err != nil {
			return Client{}, fmt.Errorf("its keys: %w", err)
		}
	}
	return client, nil
}

func (p *CIMDPolicy) fetch(ctx context.Context, url string) ([]byte, error) {
	if p.Fetch != nil {
		return p.Fetch(ctx, url)
	}
	return FetchDocument(nil)(ctx, url)
}

// checkID is section 3 of the draft, and the company's trust.
func (p *CIMDPolicy) checkID(id string) error {
	u, err := url.Parse(id)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		return errors.New("its ID is not an https URL")
	case u.EscapedPath() == "" || u.EscapedPath() == "/":
		return errors.New("its ID has no path")
	case u.User != nil || strings.Contains(id, "#") || u.RawQuery != "" || u.ForceQuery:
		return errors.New("its ID has userinfo, a query or a fragment")
	case path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/"):
		return errors.New("its ID has dot segments or empty ones")
	case !p.trusts(u):
		return fmt.Errorf("host %q is not trusted to name clients here", u.Host)
	}
	return nil
}

func (p *CIMDPolicy) trusts(u *url.URL) bool {
	return slices.ContainsFunc(p.Allow, func(allowed string) bool {
		below, wild := strings.CutPrefix(allowed, "*.")
		switch {
		case wild:
			return strings.HasSuffix(u.Hostname(), "."+below)
		case allowed == "*":
			return true
		}
		return allowed == u.Host || allowed == u.Hostname()
	})
}

// check is section 4 of the draft and what MCP wants in a document.
func (d document) check(id string) error {
	switch {
	case d.ClientID != id:
		return fmt.Errorf("client_id is %q", d.ClientID)
	case d.ClientName == "":
		return errors.New("client_name is missing")
	case len(d.RedirectURIs) == 0:
		return errors.New("redirect_uris is missing or empty")
	case d.Secret != nil || d.SecretExpires != nil:
		return errors.New("it has a shared secret, which everybody could read")
	case d.AuthMethod != "" && d.AuthMethod != AuthNone && d.AuthMethod != AuthPrivateKeyJWT:
		return fmt.Errorf("token_endpoint_auth_method is %q, want none or private_key_jwt", d.AuthMethod)
	case d.JWKS != nil && d.JWKSURI != "":
		return errors.New("it has both jwks and jwks_uri") // RFC 7591 section 2
	}
	return nil
}

// keys returns the public keys, given in the document or at its jwks_uri.
func (p *CIMDPolicy) keys(ctx context.Context, d document) ([]jose.JSONWebKey, error) {
	set := d.JWKS
	if d.JWKSURI != "" {
		if u, err := url.Parse(d.JWKSURI); err != nil || u.Scheme != "https" {
			return nil, fmt.Errorf("jwks_uri %q is not an https URL", d.JWKSURI)
		}
		text, err := p.fetch(ctx, d.JWKSURI)
		if err != nil {
			return nil, err
		}
		set = &jose.JSONWebKeySet{}
		if err := json.Unmarshal(text, set); err != nil {
			return nil, errors.New("what is at jwks_uri is not a JWK set")
		}
	}
	if err := checkPublicKeys(set); err != nil {
		return nil, err
	}
	return set.Keys, nil
}
