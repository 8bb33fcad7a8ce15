package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// app is what the verbs share: the resolved configuration and the parts that are
// built from it.
type app struct {
	env     Env
	flags   config.Overrides
	json    bool
	verbose bool

	paths config.Paths
	cfg   *config.Config
	state *state.Dir
	net   *wire.Net
	vault *vault.Vault
	calls vault.Calls // to the keychain; nil: nobody else makes any

	providers map[string]*identity.Provider // by name
	consents  *consent.Keeper
	warned    sync.Map // texts
}

// open reads the configuration. It is the first thing that every verb does.
func (a *app) open() error { return a.openWith(config.Load) }

// openFor is open for one answer about one server, which most likely comes from the
// cache. Before anything else reload has to be called.
func (a *app) openFor(server string) error {
	if strings.Contains(server, "://") { // it takes all of them to find it
		return a.open()
	}
	return a.openWith(func(p config.Paths, flags config.Overrides, getenv func(string) string) (*config.Config, error) {
		right := func(path, digest string) bool {
			d := state.Open(p.State)
			d.Now = a.env.Now
			kept, ok := d.Cache(rightKey(path), forEver)
			return ok && string(kept) == digest
		}
		return config.LoadOne(p, flags, getenv, server, right)
	})
}

// reload reads the whole configuration, and remembers that it is right.
func (a *app) reload() error {
	if err := a.open(); err != nil {
		return err
	}
	if kept, ok := a.state.Cache(rightKey(a.cfg.Path), forEver); a.cfg.Found && (!ok || string(kept) != a.cfg.Digest) {
		a.state.SetCache(rightKey(a.cfg.Path), []byte(a.cfg.Digest))
	}
	return nil
}

func rightKey(path string) string { return "configuration that is right: " + path }

const forEver = 100 * 365 * 24 * time.Hour

func (a *app) openWith(load func(config.Paths, config.Overrides, func(string) string) (*config.Config, error)) (err error) {
	if a.env.Home == "" {
		return &usageError{text: "the home folder is not known", hint: "set " + homeVariable}
	}
	if a.paths, err = config.Locate(a.env.Home, a.env.Getenv); err != nil {
		return err
	}
	if a.cfg, err = load(a.paths, a.flags, a.env.Getenv); err != nil {
		return err
	}
	a.state = state.Open(a.paths.State)
	a.state.Now, a.state.Warn = a.env.Now, a.warn
	return nil
}

// recorded reads the state and tells once what is wrong with it.
func (a *app) recorded() (state.File, error) {
	f, warnings, err := a.state.Read()
	for _, w := range warnings {
		a.warn(w.String())
	}
	return f, err
}

// store opens the vault that holds the sign-ins: the one on record, or for the
// first sign-in the one that is configured. It is never switched silently.
func (a *app) store() (*vault.Vault, error) {
	if a.vault != nil {
		return a.vault, nil
	}
	f, err := a.recorded()
	if err != nil {
		return nil, err
	}
	return a.storeOn(f)
}

// storeOn is store for a record that was read already.
func (a *app) storeOn(record state.File) (*vault.Vault, error) {
	kept := record.Store
	chosen := a.wantedStore()
	if kept != nil {
		chosen = *kept
	}
	v, err := a.openStore(chosen)
	if err != nil && kept == nil && errors.Is(err, fs.ErrNotExist) { // its key is made by the first sign-in
		return nil, &identity.SignedOut{Why: "you are not signed in"}
	}
	return v, err
}

// storeFor opens the store for one server. A server that needs no sign-in does not
// wait for one with the making of the store's key.
func (a *app) storeFor(s config.Server, open func() (*vault.Vault, error)) (*vault.Vault, error) {
	v, err := open()
	if isAny[*identity.SignedOut](err) && !s.OAuth.NeedsIdP() {
		if err := a.makeStoreKey(a.wantedStore()); err != nil {
			return nil, err
		}
		return open()
	}
	return v, err
}

func (a *app) wantedStore() state.Store {
	s := a.cfg.Store()
	return state.Store{Kind: s.KindOrDefault(), KeyFile: s.KeyFile, PassphraseFile: s.PassphraseFile}
}

func (a *app) openStore(s state.Store) (v *vault.Vault, err error) {
	if s.Kind == "file" {
		if s.KeyFile == "" && s.PassphraseFile == "" {
			return nil, &usageError{
				text: "the file store needs a key",
				hint: "mcpauth login --store file --store-key-file " + filepath.Join(filepath.Dir(a.paths.Config), "store.key"),
			}
		}
		if v, err = vault.File(a.state, s.KeyFile, s.PassphraseFile); err != nil {
			return nil, err
		}
	} else {
		deadline := 3 * time.Second
		if a.env.Terminal {
			deadline = time.Minute // a person may have to type a password
		}
		v = vault.Keychain(a.state, vault.KeychainOptions{Deadline: deadline, Calls: a.calls})
	}
	v.Warn = a.warn
	a.vault = v
	return v, nil
}

// provider builds the identity provider with the given name, once: servers that
// are asked for side by side share what it has learnt.
func (a *app) provider(name string) (*identity.Provider, error) {
	idp, err := a.cfg.IdP(name)
	if err != nil {
		return nil, err
	}
	if p := a.providers[idp.Name]; p != nil {
		return p, nil
	}
	p, err := a.providerOf(idp)
	if err != nil {
		return nil, err
	}
	if a.providers == nil {
		a.providers = map[string]*identity.Provider{}
	}
	a.providers[idp.Name] = p
	return p, nil
}

// finish waits a moment for renewals whose callers have gone.
func (a *app) finish(ctx context.Context) {
	if len(a.providers) == 0 && a.consents == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	for _, p := range a.providers {
		p.Settle(ctx)
	}
	if a.consents != nil {
		a.consents.Settle(ctx)
	}
}

// end is finish for a command: of what it opened nothing is left.
func (a *app) end(ctx context.Context) {
	a.finish(ctx)
	if a.net != nil {
		a.net.CloseIdle()
	}
}

// finishTime is the longest that a program waits at its end for renewals.
const finishTime = 10 * time.Second

func (a *app) providerOf(idp config.IdP) (*identity.Provider, error) {
	v, err := a.store()
	if err != nil {
		return nil, err
	}
	d, err := a.discovery()
	if err != nil {
		return nil, err
	}
	return &identity.Provider{
		IdP: idp, Net: a.net, Discover: d, State: a.state, Vault: v, Now: a.env.Now, Warn: a.warn,
	}, nil
}

// source builds what gives tokens for the server with this name or URL.
func (a *app) source(nameOrURL string) (*token.Source, error) {
	s, err := a.cfg.Server(nameOrURL)
	if err != nil {
		return nil, err
	}
	return a.sourceOf(s)
}

func (a *app) sourceOf(s config.Server) (*token.Source, error) {
	v, err := a.storeFor(s, a.store)
	if err != nil {
		return nil, err
	}
	d, err := a.discovery()
	if err != nil {
		return nil, err
	}
	var p *identity.Provider
	if a.needsIdP(s) {
		if p, err = a.provider(s.OAuth.IdP); err != nil {
			return nil, err
		}
	}
	if a.consents == nil {
		a.consents = &consent.Keeper{Net: a.net, State: a.state, Vault: v, Now: a.env.Now, Warn: a.warn}
	}
	a.trust(a.net, s)
	return &token.Source{
		Server: s, Company: a.cfg.Client(), AllowFallback: a.cfg.AllowsFallback(), Provider: p, Consents: a.consents,
		Net: a.net, Discover: d, State: a.state, Vault: v, Now: a.env.Now, Warn: a.warn,
	}, nil
}

// quickSource is source for one answer that is most likely in the cache: what only
// a new token needs is built when it is needed.
func (a *app) quickSource(nameOrURL string) (*token.Source, error) {
	s, err := a.cfg.Server(nameOrURL)
	if err != nil { // which can tell what was meant only if it knows all
		if err := a.open(); err != nil {
			return nil, err
		}
		if s, err = a.cfg.Server(nameOrURL); err != nil {
			return nil, err
		}
	}
	record, warnings, err := a.state.ReadServer(s.URL)
	for _, w := range warnings {
		a.warn(w.String())
	}
	if err != nil {
		return nil, err
	}
	v, err := a.storeFor(s, func() (*vault.Vault, error) { return a.storeOn(record) })
	if err != nil {
		return nil, err
	}
	quick := &token.Source{
		Server: s, Company: a.cfg.Client(), AllowFallback: a.cfg.AllowsFallback(),
		State: a.state, Seen: &record, Vault: v, Now: a.env.Now, Warn: a.warn,
	}
	if a.needsIdP(s) {
		idp, err := a.cfg.IdP(s.OAuth.IdP)
		if err != nil {
			return nil, err
		}
		quick.Provider = &identity.Provider{IdP: idp}
	}
	quick.Prepare = sync.OnceValue(func() error {
		a.catchSignals()
		if err := a.reload(); err != nil {
			return err
		}
		whole, err := a.sourceOf(s)
		if err == nil {
			whole.Net.Soon()
			quick.Provider, quick.Consents, quick.Net, quick.Discover = whole.Provider, whole.Consents, whole.Net, whole.Discover
		}
		return err
	})
	return quick, nil
}

// needsIdP reports whether a server's tokens may come from the company's sign-in.
func (a *app) needsIdP(s config.Server) bool {
	mode := s.OAuth.ModeOrDefault()
	return mode == config.ModeEMA || mode == config.ModeAuto && len(a.cfg.IdPs()) > 0
}

func (a *app) catchSignals() {
	if a.env.CatchSignals != nil {
		a.env.CatchSignals()
	}
}

// say is one line of conversation.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.env.Stderr, "mcpauth: %s\n", fmt.Sprintf(format, args...))
}

// warn says nothing twice: a damaged item may be read by several stages.
func (a *app) warn(text string) {
	if _, again := a.warned.LoadOrStore(text, true); !again {
		a.say("warning: %s", wire.Clean(text))
	}
}

// keepClientSecret stores a client secret that came on standard input.
func (a *app) keepClientSecret(ctx context.Context, issuer, clientID string, s secret.Text) error {
	v, err := a.store()
	if err != nil {
		return err
	}
	return v.Set(ctx, identity.ClientSecretItem(issuer, clientID), s)
}

func host(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return raw
}
