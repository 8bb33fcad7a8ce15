package idjagtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// newcomer is what a registration request may say (RFC 7591 section 2). Further
// members are ignored, as they must be.
type newcomer struct {
	ApplicationType string              `json:"application_type"`
	RedirectURIs    []string            `json:"redirect_uris"`
	GrantTypes      []string            `json:"grant_types"`
	ResponseTypes   []string            `json:"response_types"`
	AuthMethod      string              `json:"token_endpoint_auth_method"`
	ClientName      string              `json:"client_name"`
	Scope           string              `json:"scope"`
	JWKS            *jose.JSONWebKeySet `json:"jwks"`

	ClientID     *string `json:"client_id"`
	ClientSecret *string `json:"client_secret"`
}

// register is RFC 7591 section 3 for native programs, as MCP wants it: with
// application_type native and redirect URIs on loopback.
func (a *AS) register(c *call) *refusal {
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case c.r.Method != http.MethodPost:
		return refuse("invalid_request", "the method is %s, want POST", c.r.Method).as(http.StatusMethodNotAllowed)
	case kind != "application/json":
		return refuse("invalid_client_metadata", "the content type is %q, want application/json", kind)
	case c.r.Header.Get("Authorization") != "":
		return refuse("invalid_request", "registration is open; an Authorization header has no business here")
	}
	var asked newcomer
	if err := json.Unmarshal(c.body, &asked); err != nil {
		return refuse("invalid_client_metadata", "the body is not a JSON object of client metadata")
	}
	c.entry.Form = membersOf(c.body)
	if err := a.checkNewcomer(&asked); err != nil {
		return err
	}
	client := Client{ID: "dcr-" + random(), Name: asked.ClientName, Method: asked.AuthMethod, RedirectURIs: asked.RedirectURIs, Grants: asked.GrantTypes}
	body := map[string]any{
		"client_id":                  client.ID,
		"client_id_issued_at":        a.Clock().Unix(),
		"application_type":           asked.ApplicationType,
		"redirect_uris":              asked.RedirectURIs,
		"grant_types":                asked.GrantTypes,
		"response_types":             asked.ResponseTypes,
		"token_endpoint_auth_method": asked.AuthMethod,
		"registration_client_uri":    a.RegistrationEndpoint() + "/" + client.ID,
		"registration_access_token":  random(),
	}
	if asked.ClientName != "" {
		body["client_name"] = asked.ClientName
	}
	switch asked.AuthMethod {
	case AuthBasic, AuthPost:
		client.Secret = "dcr/+ %:" + random() // needs form-encoding in a Basic header
		body["client_secret"], body["client_secret_expires_at"] = client.Secret, 0
		if a.SecretLifetime != 0 {
			client.SecretExpires = a.Clock().Add(a.SecretLifetime)
			body["client_secret_expires_at"] = client.SecretExpires.Unix()
		}
	case AuthPrivateKeyJWT:
		client.PublicKeys = asked.JWKS.Keys
	}
	a.AddClient(client)
	a.state.Lock()
	a.newcomers = append(a.newcomers, client)
	a.state.Unlock()
	c.entry.Client, c.entry.Status = client.ID, http.StatusCreated
	return a.reply(c, body)
}

// checkNewcomer refuses what this server does not register and fills in the
// defaults of RFC 7591 section 2.
func (a *AS) checkNewcomer(asked *newcomer) *refusal {
	if asked.GrantTypes == nil {
		asked.GrantTypes = []string{grantCodeFlow}
	}
	if asked.ResponseTypes == nil {
		asked.ResponseTypes = []string{"code"}
	}
	if asked.AuthMethod == "" {
		asked.AuthMethod = AuthBasic
	}
	odd := func(format string, args ...any) *refusal { return refuse("invalid_client_metadata", format, args...) }
	switch {
	case asked.ClientID != nil || asked.ClientSecret != nil:
		return odd("client_id and client_secret are the server's to choose")
	case asked.ApplicationType != "native":
		return odd("application_type is %q, want native", asked.ApplicationType) // MCP 2026-07-28, Dynamic Client Registration
	case !slices.Equal(asked.ResponseTypes, []string{"code"}):
		return odd("response_types is %q, want code alone", asked.ResponseTypes)
	case !slices.Contains(asked.GrantTypes, grantCodeFlow):
		return odd("grant_types is %q and lacks authorization_code", asked.GrantTypes)
	case !slices.Contains(a.registrable(), asked.AuthMethod):
		return odd("token_endpoint_auth_method is %q, want one of %q", asked.AuthMethod, a.registrable())
	}
	for _, grant := range asked.GrantTypes {
		if grant != grantCodeFlow && grant != grantRefreshing {
			return odd("grant type %q is not open to registrations", grant)
		}
	}
	for _, scope := range strings.Fields(asked.Scope) {
		if !slices.Contains(a.scopesSupported(), scope) {
			return odd("scope %q is not one of this server", scope)
		}
	}
	if asked.AuthMethod == AuthPrivateKeyJWT {
		if err := checkPublicKeys(asked.JWKS); err != nil {
			return odd("jwks: %v", err)
		}
	}
	if len(asked.RedirectURIs) == 0 {
		return refuse("invalid_redirect_uri", "redirect_uris is missing or empty")
	}
	for _, raw := range asked.RedirectURIs {
		if err := checkLoopbackRedirect(raw); err != nil {
			return refuse("invalid_redirect_uri", "redirect URI %q: %v", raw, err)
		}
	}
	return nil
}

// registrable are the authentication methods that a registration may choose.
func (a *AS) registrable() []string {
	if a.AuthMethods != nil {
		return a.AuthMethods
	}
	return []string{AuthNone, AuthBasic, AuthPost}
}

// checkLoopbackRedirect is RFC 8252 section 7.3.
func checkLoopbackRedirect(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("it is not a URL")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	switch {
	case u.Scheme != "http":
		return fmt.Errorf("its scheme is %q, want http", u.Scheme)
	case !loopback:
		return fmt.Errorf("its host %q is not loopback", u.Hostname())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path == "":
		return errors.New("it has userinfo, query or fragment, or no path")
	}
	return nil
}

// checkPublicKeys wants at least one key and no private half.
func checkPublicKeys(set *jose.JSONWebKeySet) error {
	if set == nil || len(set.Keys) == 0 {
		return errors.New("there is no key")
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return fmt.Errorf("key %q is not a public key", key.KeyID)
		}
	}
	return nil
}

// membersOf turns a JSON object into what Request.Form can hold: strings, lists of
// strings, and everything else as JSON.
func membersOf(body []byte) url.Values {
	var members map[string]any
	json.Unmarshal(body, &members) // it was parsed before
	form := url.Values{}
	for name, value := range members {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			text, ok := v.(string)
			if !ok {
				raw, _ := json.Marshal(v)
				text = string(raw)
			}
			form.Add(name, text)
		}
	}
	return withoutSecrets(form)
}
