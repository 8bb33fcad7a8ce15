package token

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/ownjson"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// key is what makes two requests for a token the same one. It has the subject, so
// that nobody is served a token of who was signed in before (attack S31).
type key struct {
	Mode, IdP, Subject, Resource, AS, Client, Scopes string
}

// name is that of the sealed file. Reading compares the key inside as well.
func (k key) name() string {
	text := ""
	for _, part := range []string{k.Mode, k.IdP, k.Subject, k.Resource, k.AS, k.Client, k.Scopes} {
		text += strconv.Quote(part) // so that no part runs into the next
	}
	return "access token " + state.Hash(text)
}

// at fills in what only discovery could tell.
func (k key) at(c Chain) key {
	k.Resource, k.AS = c.Target.Resource, c.Target.AS
	return k
}

// entry is a token in the cache.
type entry struct {
	Token
	name     string // of its key
	obtained time.Time
}

// sealed is the content of a sealed file.
type sealed struct {
	Key         key       `json:"key"`
	AccessToken string    `json:"accessToken"`
	Type        string    `json:"type"`
	Obtained    time.Time `json:"obtained"`
	Expires     time.Time `json:"expires"`
	Scopes      []string  `json:"scopes,omitempty"`
}

// unseal reads what store has sealed. It is on the way of every answer from the
// cache, which is why encoding/json is only asked about what nobody expects.
func unseal(plain []byte) (c sealed, err error) {
	r := ownjson.New(plain)
	r.Object(func(name string) {
		switch name {
		case "key":
			c.Key = readKey(r)
		case "accessToken":
			c.AccessToken = r.Text()
		case "type":
			c.Type = r.Text()
		case "obtained":
			c.Obtained = r.Time()
		case "expires":
			c.Expires = r.Time()
		case "scopes":
			c.Scopes = r.Texts()
		default:
			r.Skip()
		}
	})
	if !r.OK() {
		c = sealed{}
		err = json.Unmarshal(plain, &c)
	}
	return c, err
}

func readKey(r *ownjson.Reader) (k key) {
	r.Object(func(name string) {
		switch name {
		case "Mode":
			k.Mode = r.Text()
		case "IdP":
			k.IdP = r.Text()
		case "Subject":
			k.Subject = r.Text()
		case "Resource":
			k.Resource = r.Text()
		case "AS":
			k.AS = r.Text()
		case "Client":
			k.Client = r.Text()
		case "Scopes":
			k.Scopes = r.Text()
		default:
			r.Skip()
		}
	})
	return k
}

// key is that of the token that is asked for, as far as it is known without asking
// anybody: resource and authorization server come from the configuration or from
// last time. A person agrees to a set of scopes, and has one token for all of them.
func (s *Source) key(record state.File, h holder, mode string, a Ask) key {
	o, known := s.Server.OAuth, record.Servers[s.Server.URL]
	k := key{
		Mode: mode, IdP: h.issuer, Subject: h.subject, Client: or(h.client, s.clientID()),
		Resource: or(o.Resource, known.Resource), AS: or(o.Issuer, known.Issuer),
	}
	if mode != config.ModeOAuth {
		k.Scopes = joined(s.scopes(a))
	}
	return k
}

// lookup finds the token in the cache without asking anybody.
func (s *Source) lookup(ctx context.Context, k key) (entry, bool) {
	if k.Resource == "" || k.AS == "" {
		return entry{}, false
	}
	name := k.name()
	plain, err := s.Vault.Open(ctx, name)
	if err != nil {
		if !errors.Is(err, vault.ErrNotFound) {
			s.warn("the token cache cannot be read: %v", err)
		}
		return entry{}, false
	}
	c, err := unseal(plain)
	if err != nil || c.Key != k || c.AccessToken == "" || lacks(c.Scopes, s.Server.OAuth.RequireScopes) ||
		c.Type != "DPoP" && s.Server.OAuth.DPoPOrDefault() == "required" { // it was not, when this came
		return entry{}, false
	}
	return entry{name: name, obtained: c.Obtained, Token: Token{
		AccessToken: secret.New(c.AccessToken), Type: c.Type, Expires: c.Expires, Scopes: c.Scopes,
		Server: s.Server.Name, Resource: c.Key.Resource, AS: c.Key.AS, Cached: true,
	}}, true
}

// store keeps a token. A token that was obtained but cannot be kept is handed out
// all the same. The record goes first, since what it does not name would outlive
// the sign-out.
func (s *Source) store(ctx context.Context, k key, c Chain) {
	t := c.Token
	plain, err := json.Marshal(sealed{
		Key: k, AccessToken: t.AccessToken.Reveal(), Type: t.Type, Obtained: s.now(), Expires: t.Expires, Scopes: t.Scopes,
	})
	if err == nil {
		err = s.note(ctx, func(r *state.Server) {
			r.LastOK, r.Expires, r.Scopes, r.Client, r.LastError = s.now(), t.Expires, t.Scopes, k.Client, nil
			r.Mode, r.ModeWhy, r.DPoP = c.Mode, c.ModeWhy, t.Type == "DPoP"
			r.Managed = r.Managed || c.Mode == config.ModeEMA
			r.Sealed = s.makeRoom(r.Sealed, k.name())
		})
	}
	if err == nil {
		err = s.Vault.Seal(ctx, k.name(), plain)
	}
	if err != nil {
		s.unwritten(notKept, err)
	}
}

// maxSealed is how many tokens of one server are kept. Who asks for other scopes at
// every call, a document's own say, would otherwise fill the record, and it is read
// at every call.
const maxSealed = 32

// makeRoom adds the name of a token to those of its server, and drops the oldest.
func (s *Source) makeRoom(names []string, name string) []string {
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == name }), name)
	for len(names) > maxSealed && s.Vault.Discard(names[0]) == nil {
		names = names[1:]
	}
	return names
}

// Discard drops every cached token of a server, by its record.
func Discard(v *vault.Vault, r state.Server) error {
	var errs []error
	for _, name := range r.Sealed {
		errs = append(errs, v.Discard(name))
	}
	return errors.Join(errs...)
}

// Drop discards the cached tokens of a server and says so in its record. It waits
// for whoever is getting one: after a sign-out, which comes first, nothing is
// stored any more.
func Drop(ctx context.Context, d *state.Dir, v *vault.Vault, serverURL string) error {
	unlock, err := d.Lock(ctx, lockName(serverURL))
	if err != nil {
		return err
	}
	defer unlock()
	f, _, err := d.Read()
	if err != nil {
		return err
	}
	if err := Discard(v, f.Servers[serverURL]); err != nil {
		return err
	}
	return d.Update(ctx, func(f *state.File) error {
		if r, ok := f.Servers[serverURL]; ok {
			r.Sealed, r.Expires, r.Scopes, r.LastError = nil, time.Time{}, nil, nil
			f.Servers[serverURL] = r
		}
		return nil
	})
}

// lacks reports whether a token was had without a scope that the configuration
// has come to require.
func lacks(have, required []string) bool { return lacking(have, required) != nil }

// lacking returns what of want is not in have.
func lacking(have, want []string) (missing []string) {
	for _, s := range want {
		if !slices.Contains(have, s) {
			missing = append(missing, s)
		}
	}
	return missing
}
