package consent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// latest is the last access token of a consent. It is for those who waited, in this
// process or another one, while somebody got it; what is kept for longer is the
// business of package token.
type latest struct {
	Agreed   time.Time `json:"agreed"`   // when the person did
	Obtained time.Time `json:"obtained"` // when this token came
	Asked    []string  `json:"asked,omitempty"`

	// For whom and from whom it is: it is no other's.
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientId"`
	Resource string `json:"resource,omitempty"`
	Key      string `json:"key,omitempty"` // the thumbprint of the key that was shown

	AccessToken string    `json:"accessToken"`
	Type        string    `json:"type"`
	Expires     time.Time `json:"expires"`
	Scopes      []string  `json:"scopes,omitempty"`
	Reduced     []string  `json:"reduced,omitempty"`
	Warnings    []string  `json:"warnings,omitempty"`
}

func latestName(serverURL string) string { return "latest token by consent " + state.Hash(serverURL) }

func (t Target) key() string {
	if t.Prover == nil || t.Prover.Key == nil {
		return ""
	}
	return t.Prover.Key.Thumbprint()
}

// setLatest may fail: others then ask for themselves, one after the other.
func (k *Keeper) setLatest(ctx context.Context, t Target, c state.Consent, token endpoint.Token) {
	plain, err := json.Marshal(latest{
		Agreed: c.When, Obtained: k.now(), Asked: c.Asked,
		Issuer: c.Issuer, ClientID: c.ClientID, Resource: t.resource(), Key: t.key(),
		AccessToken: token.AccessToken.Reveal(), Type: token.Type, Expires: token.Expires,
		Scopes: token.Scopes, Reduced: token.Reduced, Warnings: token.Warnings,
	})
	if err == nil {
		_ = k.Vault.Seal(ctx, latestName(t.url()), plain)
	}
}

// latest returns the last token, if it is for this target and still good.
func (k *Keeper) latest(ctx context.Context, t Target) (l latest, ok bool) {
	record, err := k.known(t.url())
	c := record.Consent
	if err != nil || c == nil || c.Issuer != t.AS.Issuer {
		return latest{}, false
	}
	l, ok = k.latestOf(ctx, t.url(), *c)
	return l, ok && l.Resource == t.resource() && l.Key == t.key() && l.Expires.After(k.now())
}

// latestOf returns the last token of a consent, whatever it is for.
func (k *Keeper) latestOf(ctx context.Context, serverURL string, c state.Consent) (l latest, ok bool) {
	plain, err := k.Vault.Open(ctx, latestName(serverURL))
	if err != nil || json.Unmarshal(plain, &l) != nil {
		return latest{}, false
	}
	return l, l.AccessToken != "" && l.Issuer == c.Issuer && l.ClientID == c.ClientID && l.Agreed.Equal(c.When)
}

// token is without the refresh token, which nobody needs besides the Keeper.
func (l latest) token() endpoint.Token {
	return endpoint.Token{
		AccessToken: secret.New(l.AccessToken), Type: l.Type, Expires: l.Expires,
		Scopes: l.Scopes, Reduced: l.Reduced, Warnings: l.Warnings,
	}
}
