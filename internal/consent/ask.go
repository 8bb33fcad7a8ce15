package consent

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// who the other party is, in messages.
const who = "the authorization server"

// Offline is the scope that refresh tokens come with (MCP, Refresh Tokens). It is
// asked for where the server lists it, and is nothing to a person.
const Offline = "offline_access"

// storingTime bounds the storing of a consent, which waits for a renewal at most.
const storingTime = 2*renewalTime + 5*time.Second

// Ask has a person agree in the browser, and keeps what came of it. It registers
// mcpauth first where it must. Whoever asks for the same while a window is open
// waits for it and shares the answer, over all processes.
//
// Errors: *Unfit, *NoClient, *Needed when a registration was lost on the way, those
// of signin.Browser, and *endpoint.Error and *endpoint.CheckError about answers.
func (k *Keeper) Ask(ctx context.Context, t Target, open func(ctx context.Context, address string) error) (endpoint.Token, error) {
	asked := k.now()
	if err := t.fit(true); err != nil {
		return endpoint.Token{}, err
	}
	unlock, err := k.State.Lock(ctx, windowName(t.url()))
	if err != nil {
		return endpoint.Token{}, err
	}
	defer unlock()
	if l, ok := k.latest(ctx, t); ok && l.Agreed.After(asked) && !lacks(l.Asked, t.Scopes) {
		return l.token(), nil
	}
	client, how, err := k.clientForAsking(ctx, t)
	if err == nil {
		err = t.mixedUp(how)
	}
	if err != nil {
		return endpoint.Token{}, err
	}
	scopes, err := k.scopes(t, client)
	if err != nil {
		return endpoint.Token{}, err
	}
	to := t.redirectOf(how)
	request := signin.Request{
		Issuer: t.AS.Issuer, AuthorizationEndpoint: t.AS.AuthorizationEndpoint, IssParameterSupported: t.AS.IssParameterSupported,
		ClientID: client.ID, Scopes: scopes, Resource: t.resource(), OAuthOnly: true, Who: who, Prompt: t.prompt(scopes),
		RedirectHost: to.host, RedirectPort: to.port, RedirectPath: to.path,
	}
	var token endpoint.Token
	finish := func(ctx context.Context, code signin.Code) (err error) {
		token, err = k.spend(ctx, t, client, how, scopes, code)
		return err
	}
	err = signin.Browser(ctx, request, open, finish)
	var busy *signin.PortBusy
	if errors.As(err, &busy) && t.Server.OAuth.RedirectPort == 0 {
		request.RedirectPort = 0 // our choice was a wish; the standard allows any (RFC 8252 section 7.3)
		err = signin.Browser(ctx, request, open, finish)
	}
	return token, err
}

// prompt is that of the configuration. Without one it is "consent" where a refresh
// token is asked for: OpenID Connect Core section 11 has servers drop offline_access
// without it, and a consent that ends with its first token is not what a person
// agreed to.
func (t Target) prompt(scopes []string) string {
	switch p := t.Server.OAuth.Prompt; {
	case p == "off", p == "" && !slices.Contains(scopes, Offline):
		return ""
	case p != "":
		return p
	}
	return "consent"
}

// clientForAsking is Client, with a registration where there is none that will do.
func (k *Keeper) clientForAsking(ctx context.Context, t Target) (clientauth.Client, string, error) {
	client, how, err := k.Client(ctx, t)
	var none *NoClient
	record, bad := k.known(t.url())
	if bad != nil {
		return client, how, bad
	}
	r := record.Registration
	moved := err == nil && how == Registered && (r == nil || r.RedirectPath != t.redirectOf(how).path)
	if errors.As(err, &none) || moved {
		if err := t.mixedUp(Registered); err != nil { // rather than register for nothing
			return client, how, err
		}
		client, err = k.register(ctx, t)
	}
	return client, how, err
}

// mixedUp refuses an authorization server that sends people elsewhere to agree and
// does not promise to name itself in the answer. It could have them agree at
// another one, where our client ID is good as well, and be given the code (attack
// S4). The same metadata document is our client ID everywhere; and who is asked to
// register us can do that at another server, and hand its client ID to us. There
// another host of the same site will do, which many have. Which server a client
// belongs to that was registered beforehand is the person's word.
func (t Target) mixedUp(how string) error {
	issuer, err1 := url.Parse(t.AS.Issuer)
	asks, err2 := url.Parse(t.AS.AuthorizationEndpoint)
	switch {
	case t.AS.IssParameterSupported, how == Configured,
		how == Registered && !t.AS.AuthorizationEndpointForeign,
		err1 == nil && err2 == nil && strings.EqualFold(issuer.Host, asks.Host):
		return nil
	}
	return &Unfit{AS: t.AS.Issuer, Security: true, Why: "has people asked on another host, and does not promise to name itself in the answer (RFC 9207)"}
}

// scopes are those to ask for: what is wanted now and what was asked for before at
// the same place, since steps add up (MCP, Step-Up Authorization). Of the steps
// before only those count that are still allowed (attack S27).
func (k *Keeper) scopes(t Target, client clientauth.Client) ([]string, error) {
	o := t.Server.OAuth
	if !o.SendsScope() {
		return nil, nil
	}
	record, err := k.known(t.url())
	if err != nil {
		return nil, err
	}
	list := slices.Clone(t.Scopes)
	if c := record.Consent; c != nil && c.Issuer == t.AS.Issuer && c.ClientID == client.ID {
		list = union(list, slices.DeleteFunc(slices.Clone(c.Asked), func(s string) bool {
			return o.MaxScopes != nil && !slices.Contains(o.MaxScopes, s) && !slices.Contains(o.Scopes, s)
		}))
	}
	if len(list) > 0 && slices.Contains(t.AS.ScopesSupported, Offline) {
		list = union(list, []string{Offline})
	}
	return list, nil
}

// spend trades the authorization code for tokens (RFC 6749 section 4.1.3).
func (k *Keeper) spend(ctx context.Context, t Target, client clientauth.Client, how string, scopes []string, code signin.Code) (endpoint.Token, error) {
	to := wire.Endpoint(t.AS.TokenEndpoint)
	k.Net.Permit(wire.Code, code.Code, to)
	k.Net.Permit(wire.Code, code.Verifier, to)
	defer k.Net.Forget(code.Code)
	defer k.Net.Forget(code.Verifier)
	token, err := k.get(ctx, t, client, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Code.Reveal()},
		"code_verifier": {code.Verifier.Reveal()},
		"redirect_uri":  {code.RedirectURI},
	})
	switch {
	case unknown(how, err):
		return endpoint.Token{}, k.disown(ctx, t, k.Forget)
	case err != nil:
		return endpoint.Token{}, err
	}
	if token.Scopes == nil { // RFC 6749 section 5.1: then it is what was asked for
		token.Scopes = scopes
	}
	for _, s := range scopes {
		if s != Offline && !slices.Contains(token.Scopes, s) {
			token.Reduced = append(token.Reduced, s)
		}
	}
	agreed := state.Consent{
		Issuer: t.AS.Issuer, ClientID: client.ID, When: k.now(),
		Scopes: token.Scopes, Asked: scopes,
	}
	if err := k.keep(ctx, t, agreed, how, token); err != nil {
		k.warn("your consent could not be kept, so that you will have to agree again: %v", err)
	}
	return token, nil
}

// get asks the token endpoint, to which nothing but the grant and the client's own
// proof may go.
func (k *Keeper) get(ctx context.Context, t Target, client clientauth.Client, form url.Values) (endpoint.Token, error) {
	identity.PermitClient(k.Net, client, t.AS.TokenEndpoint)
	return endpoint.GetToken(wire.OnBehalfOf(ctx, t.url()), k.Net.Client(), endpoint.TokenRequest{
		Request:  endpoint.Request{URL: t.AS.TokenEndpoint, Form: form, Client: client, Prover: t.Prover},
		Resource: t.resource(), RequireBound: t.RequireBound, Now: k.Now,
	})
}

// unknown reports whether an authorization server has forgotten a client that
// mcpauth registered.
func unknown(how string, err error) bool {
	var refused *endpoint.Error
	return how == Registered && errors.As(err, &refused) && refused.Code == "invalid_client"
}

// disown forgets such a client, and with it what was agreed to in its name.
func (k *Keeper) disown(ctx context.Context, t Target, forget func(ctx context.Context, serverURL string) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storingTime)
	defer cancel()
	if err := forget(ctx, t.url()); err != nil {
		k.warn("%v", err)
	}
	return k.needed(t, nil, "the authorization server no longer knows the client that mcpauth registered there")
}

func (k *Keeper) needed(t Target, scopes []string, why string) *Needed {
	return &Needed{Server: t.Parties.Server, Scopes: union(t.Scopes, scopes), Why: why}
}

// errForgotten says that a sign-out came while the person was being asked.
var errForgotten = errors.New("it was forgotten meanwhile")

// keep stores a consent in place of the one before it, the record first: what the
// record does not name would outlive a sign-out. It is renewable only once its own
// refresh token is there. A consent is not lost because its caller has gone.
func (k *Keeper) keep(ctx context.Context, t Target, agreed state.Consent, how string, token endpoint.Token) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storingTime)
	defer cancel()
	unlock, err := k.State.Lock(ctx, lockName(t.url()))
	if err != nil {
		return err
	}
	defer unlock()
	r, err := k.known(t.url())
	if err != nil {
		return err
	}
	if how == Registered && (r.Registration == nil || r.Registration.ClientID != agreed.ClientID) {
		return errForgotten
	}
	if err := k.update(ctx, t.url(), func(s *state.Server) { s.Consent = &agreed }); err != nil {
		return err
	}
	item := refreshItem(t.url(), agreed)
	err = k.Vault.Delete(ctx, item)
	if r.Consent != nil {
		err = errors.Join(err, k.Vault.Delete(ctx, refreshItem(t.url(), *r.Consent)))
	}
	if err == nil && !token.RefreshToken.IsZero() {
		if err = k.Vault.Set(ctx, item, token.RefreshToken); err == nil {
			agreed.Renewable = true
			err = k.update(ctx, t.url(), func(s *state.Server) { s.Consent = &agreed })
		}
	}
	k.setLatest(ctx, t, agreed, token)
	return err
}
