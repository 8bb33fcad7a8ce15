package consent

import (
	"context"
	"errors"
	"strings"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
)

// Client says who mcpauth is at the authorization server, and how it came to be
// that: Configured, CIMD or Registered. It registers nothing, and returns a
// *NoClient where only a registration would help.
func (k *Keeper) Client(ctx context.Context, t Target) (c clientauth.Client, how string, err error) {
	o, auth := t.Server.OAuth, t.Server.OAuth.ClientAuth
	id := o.ASClientID
	switch {
	case id != "" && !(t.AS.ClientIDMetadataDocument && strings.HasPrefix(id, "https://")):
		how = Configured
	case id != "":
		how = CIMD
	case t.AS.ClientIDMetadataDocument && t.Company.MetadataURL != "":
		how, id = CIMD, t.Company.MetadataURL
	default:
		how = Registered
	}
	if id == t.Company.MetadataURL && unset(auth) {
		auth = t.Company.ClientAuth
	}
	if how == Registered {
		c, err = k.registered(ctx, t)
	} else {
		c, err = identity.ClientFrom(ctx, k.Vault, auth, id, t.AS.Issuer)
	}
	if err != nil {
		return clientauth.Client{}, how, err
	}
	if how == CIMD && !c.Secret.IsZero() { // the draft, section 4.1: the document is public
		return clientauth.Client{}, how, &config.Error{Where: id, Why: "a client with a metadata document has no secret"}
	}
	var supported []string
	if t.AS.TokenEndpointAuthMethodsStated {
		supported = t.AS.TokenEndpointAuthMethods
	}
	c.Now = k.Now
	if c.Method, err = c.Choose(supported); err != nil {
		return clientauth.Client{}, how, err
	}
	return c, how, nil
}

func unset(a config.Auth) bool {
	return a.Method == "" && !a.HasSecret() && a.KeyFile == "" && a.KeyName == ""
}

// registered is the client that an earlier Ask registered, if it still is one at
// this very issuer (MCP, Authorization Server Binding).
func (k *Keeper) registered(ctx context.Context, t Target) (clientauth.Client, error) {
	none := func(why string) (clientauth.Client, error) {
		return clientauth.Client{}, &NoClient{Server: t.Parties.Server, AS: t.AS.Issuer, Why: why}
	}
	record, err := k.known(t.url())
	if err != nil {
		return clientauth.Client{}, err
	}
	r := record.Registration
	switch {
	case r == nil || r.Issuer != t.AS.Issuer:
		return none("mcpauth is not registered there")
	case !r.SecretExpires.IsZero() && !r.SecretExpires.After(k.now()):
		return none("the registration of mcpauth has expired")
	}
	c := clientauth.Client{ID: r.ClientID, Issuer: r.Issuer, Method: clientauth.Method(r.Method)}
	if c.Method == clientauth.None {
		return c, nil
	}
	c.Secret, err = k.Vault.Get(ctx, secretItem(t.url(), *r))
	if errors.Is(err, vault.ErrNotFound) {
		return none("the secret of its registration is lost")
	}
	return c, err
}
