package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

type loginOptions struct {
	server            string     // to agree to, instead of signing in
	idp               config.IdP // of the flags
	store             config.Store
	redirectPort      int
	noBrowser         bool
	timeout           time.Duration
	maxAge            time.Duration
	clientSecretStdin bool
	idTokenStdin      bool
	insecure          bool
}

func newLogin(a *app) *cobra.Command {
	var o loginOptions
	c := &cobra.Command{
		Use:   "login [SERVER]",
		Short: "Sign in once, for all servers and all MCP clients",
		Long: `Sign in at your company's identity provider, in the browser. The sign-in is kept
in the keychain of this computer and serves every server and every MCP client.

The first time, say which identity provider it is; it is remembered:

  mcpauth login --issuer https://acme.okta.example --client-id 0oa1b2c3

With a SERVER that your company does not manage, agree instead that mcpauth may use
that one server in your name. Only this command asks for such a consent:

  mcpauth login tracker

On a machine without a keychain choose a sealed file, and a key to seal it with:

  mcpauth login --store file --store-key-file ~/.config/mcpauth/store.key`,
		Args:              takes("the name of a server, or nothing", 0, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.server = args[0]
				return agreeTo(cmd, a, o)
			}
			if cmd.Flags().Changed("redirect-port") {
				a.flags.RedirectPort = &o.redirectPort
			}
			return runLogin(cmd.Context(), a, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.idp.Issuer, "issuer", "", "the identity provider's issuer `URL`")
	f.StringVar(&o.idp.IdPClientID, "client-id", "", "the client `ID` that the identity provider gave to mcpauth")
	f.StringVar(&o.idp.ClientAuth.Method, "client-auth", "", "the client authentication `method` there (default: by its metadata)")
	f.StringVar(&o.idp.ClientAuth.SecretFile, "client-secret-file", "", "the `file` that holds the client secret")
	f.BoolVar(&o.clientSecretStdin, "client-secret-stdin", false, "read the client secret from standard input and keep it")
	f.StringVar(&o.idp.ClientAuth.KeyFile, "client-key-file", "", "the private key `file` for private_key_jwt, PEM or JWK")
	f.StringVar(&o.idp.ClientAuth.KeyID, "client-key-id", "", "the key `ID` (kid) to name in assertions (default: the JWK's, or its thumbprint)")
	f.StringVar(&o.idp.TokenEndpoint, "token-endpoint", "", "the token endpoint `URL`, if the identity provider publishes none")
	f.StringArrayVar(&o.idp.Scopes, "scope", nil, "a further `scope` to sign in with; may be repeated")
	f.StringArrayVar(&o.idp.ACRValues, "acr-values", nil, "ask for a sign-in of this strength, for this time")
	f.DurationVar(&o.maxAge, "max-age", 0, "ask for a sign-in no older than this, for this time")
	f.StringVar(&o.idp.Prompt, "prompt", "", "the prompt parameter, such as login or select_account, for this time")
	f.BoolVar(&o.noBrowser, "no-browser", false, "print the address instead of opening the browser")
	f.IntVar(&o.redirectPort, "redirect-port", 0, "the `port` to come back to, if the identity provider wants a certain one")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait for the person")
	storeFlags(c, &o.store)
	f.BoolVar(&o.idTokenStdin, "id-token-stdin", false, "import an ID token from standard input instead of signing in")
	f.BoolVar(&o.insecure, "insecure-skip-id-token-verification", false, "with --id-token-stdin: do not check the token's signature")
	f.BoolVar(&a.json, "json", false, "print who is signed in as JSON")
	return c
}

// storeFlags are those of the commands that may be a person's first.
func storeFlags(c *cobra.Command, store *config.Store) {
	f := c.Flags()
	f.StringVar(&store.Kind, "store", "", "where to keep secrets: keychain or file (default keychain)")
	f.StringVar(&store.KeyFile, "store-key-file", "", "the key `file` of the file store; made if it is not there")
	f.StringVar(&store.PassphraseFile, "store-passphrase-file", "", "the `file` with the passphrase of the file store")
}

func runLogin(ctx context.Context, a *app, o loginOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.idp.Issuer != "" || o.idp.IdPClientID != "" {
		block := o.idp
		block.ACRValues, block.Prompt = nil, ""
		a.flags.Block = &block
	}
	if o.store != (config.Store{}) {
		a.flags.Store = &o.store
	}
	if err := a.open(); err != nil {
		return err
	}
	idp, err := a.cfg.IdP("")
	if err != nil {
		return err
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	var piped secret.Text
	if o.clientSecretStdin || o.idTokenStdin {
		flag := "--client-secret-stdin"
		if o.idTokenStdin {
			flag = "--id-token-stdin"
		}
		if piped, err = readSecret(a.env.Stdin, flag); err != nil {
			return err
		}
	}
	if o.clientSecretStdin {
		if err := a.keepClientSecret(ctx, idp.Issuer, idp.IdPClientID, piped); err != nil {
			return err
		}
	}
	asked := idp
	if o.idp.ACRValues != nil {
		asked.ACRValues = o.idp.ACRValues
	}
	if o.idp.Prompt != "" {
		asked.Prompt = o.idp.Prompt
	}
	p, err := a.providerOf(asked)
	if err != nil {
		return err
	}
	p.MaxAge = o.maxAge
	id, err := signInOrImport(ctx, a, p, o, piped)
	if err != nil {
		return err
	}
	a.closed(ctx)
	if err := a.saveLogin(ctx, idp); err != nil {
		return err
	}
	return a.greet(idp, id)
}

func (o loginOptions) check() error {
	switch {
	case o.insecure && !o.idTokenStdin:
		return &usageError{text: "--insecure-skip-id-token-verification goes with --id-token-stdin only", hint: "mcpauth login --help"}
	case o.clientSecretStdin && o.idTokenStdin:
		return &usageError{text: "standard input can hold one secret only", hint: "use --client-secret-file beside --id-token-stdin"}
	case (o.idp.Issuer == "") != (o.idp.IdPClientID == ""):
		return &usageError{text: "--issuer and --client-id go together", hint: "mcpauth login --issuer URL --client-id ID"}
	case o.idp.Issuer == "" && (o.idp.ClientAuth.Method != "" || o.idp.ClientAuth.SecretFile != "" || o.idp.ClientAuth.KeyFile != "" || o.idp.TokenEndpoint != "" || o.idp.Scopes != nil):
		return &usageError{text: "these flags describe an identity provider and go with --issuer and --client-id", hint: "mcpauth login --help"}
	}
	return nil
}

func signInOrImport(ctx context.Context, a *app, p *identity.Provider, o loginOptions, piped secret.Text) (state.Identity, error) {
	if o.idTokenStdin {
		if o.insecure {
			a.say("warning: the signature of this ID token is not checked: whoever made it decides who you are")
		}
		return p.Import(ctx, piped, o.insecure)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return p.SignIn(ctx, a.opener(o.noBrowser, "sign in at "+host(p.IdP.Issuer)))
}

// opener has a person do something in the browser, or says where to do it.
func (a *app) opener(noBrowser bool, what string) func(context.Context, string) error {
	return func(ctx context.Context, address string) error {
		if !noBrowser {
			if err := a.window(ctx); err != nil {
				return err
			}
			err := a.env.Browse(ctx, address)
			if err == nil {
				a.say("%s in your browser; waiting", what)
				return nil
			}
			a.say("the browser could not be opened: %s", wire.Clean(err.Error()))
		}
		a.say("open this address in a browser on this computer to %s:", what)
		fmt.Fprintf(a.env.Stderr, "\n  %s\n\n", address)
		return nil
	}
}

// settle decides where this sign-in is kept, and records it. A store that holds
// sign-ins is not changed.
func (a *app) settle(ctx context.Context) error {
	f, err := a.recorded()
	if err != nil {
		return err
	}
	want, kept := a.wantedStore(), f.Store
	if kept != nil && a.cfg.Store().Kind == "" {
		want = *kept
	}
	if kept != nil && *kept != want && len(f.Identities) > 0 {
		return &usageError{
			text: "there are sign-ins in the " + describe(*kept) + " already, and one store holds them all",
			hint: "end them before you choose another store: mcpauth logout --all",
		}
	}
	if kept != nil && *kept != want {
		if err := a.leavesKeys(ctx, *kept); err != nil {
			return err
		}
	}
	if err := a.makeStoreKey(want); err != nil {
		return err
	}
	if _, err := a.openStore(want); err != nil {
		return err
	}
	if kept != nil && *kept == want {
		return nil
	}
	return a.state.Update(ctx, func(f *state.File) error { f.Store = &want; return nil })
}

// makeStoreKey makes the key of a file store that is not there yet.
func (a *app) makeStoreKey(s state.Store) error {
	if s.Kind != "file" || s.KeyFile == "" {
		return nil
	}
	if _, err := os.Lstat(s.KeyFile); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.KeyFile), 0o700); err != nil {
		return err
	}
	if err := vault.NewKeyFile(s.KeyFile); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	a.say("made a new key file: %s", s.KeyFile)
	return nil
}

func describe(s state.Store) string {
	switch {
	case s.KeyFile != "":
		return "file store with the key " + s.KeyFile
	case s.PassphraseFile != "":
		return "file store with the passphrase in " + s.PassphraseFile
	}
	return s.Kind
}

// saveLogin writes down what the flags said, once it has worked.
func (a *app) saveLogin(ctx context.Context, idp config.IdP) error {
	if a.flags.Block == nil && a.flags.Store == nil && a.flags.RedirectPort == nil {
		return nil
	}
	err := config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error {
		if a.flags.Store != nil {
			if err := d.SetStore(a.cfg.Store()); err != nil {
				return err
			}
		}
		if a.flags.Block != nil || a.flags.RedirectPort != nil {
			return d.SetIdP(idp.Name, idp)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.pointer()
	return nil
}

// pointer lets callers with fewer variables find what was saved.
func (a *app) pointer() {
	if err := a.paths.LeavePointer(); err != nil {
		a.warn(err.Error())
	}
}

func (a *app) greet(idp config.IdP, id state.Identity) error {
	if a.json {
		return writeJSON(a.env.Stdout, struct {
			Version  int       `json:"version"`
			Identity whoStatus `json:"identity"`
		}{1, whoOf(idp, id, true)})
	}
	a.say("signed in as %s at %s", who(id), host(id.Issuer))
	if !id.Renewable {
		a.say("this sign-in ends at %s and cannot be renewed: the identity provider gave no refresh token", id.Expires.Local().Format(time.DateTime))
	}
	if len(a.cfg.Servers()) == 0 {
		fmt.Fprintln(a.env.Stderr, "hint: mcpauth server add NAME URL --client-id ID")
	}
	return nil
}

// who is a person's name for people.
func who(id state.Identity) string {
	name, mail := wire.Clean(id.Name), wire.Clean(id.Email)
	switch {
	case name != "" && mail != "":
		return name + " <" + mail + ">"
	case name != "":
		return name
	case mail != "":
		return mail
	}
	return wire.Clean(id.Subject)
}
