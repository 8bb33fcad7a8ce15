package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/clientkey"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/cimd"
)

func newKeys(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Private keys with which mcpauth proves who it is: generate, rotate, jwks, list, remove",
		Long: `Make and replace private keys for private_key_jwt, by name. The private half stays
where a sign-in keeps its secrets, in the keychain or in the file store, and is never
printed; the public half is for whoever registers mcpauth, or for its metadata
document (mcpauth cimd generate --key NAME).

In the configuration "key": "NAME" in a "clientAuth" block has a client use it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newKeysGenerate(a), newKeysRotate(a), newKeysJWKS(a), newKeysList(a), newKeysRemove(a))
	return c
}

func newKeysGenerate(a *app) *cobra.Command {
	var alg string
	c := &cobra.Command{
		Use:   "generate NAME",
		Short: "Make a key and keep its private half",
		Long: `Make a key. One that has the name already is not overwritten: authorization servers
know mcpauth by it. To replace it, see "mcpauth keys rotate". Before the first sign-in
the configuration's "store" says where keys are kept, and else it is the keychain.

  mcpauth keys generate acme
  mcpauth keys jwks acme`,
		Args: takes("a name for the key", 1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return generateKey(cmd.Context(), a, args[0], alg) },
	}
	c.Flags().StringVar(&alg, "alg", "ES256", "the `algorithm`: "+strings.Join(clientkey.Algorithms(), ", "))
	return c
}

func generateKey(ctx context.Context, a *app, name, alg string) error {
	if err := a.open(); err != nil {
		return err
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	f, err := a.recorded()
	if err != nil {
		return err
	}
	p, err := a.keysIn().Generate(ctx, name, alg)
	if err != nil {
		return err
	}
	a.say("made the key %s: %s, key ID %s; its private half stays in the %s", name, p.Current.Algorithm(), p.Current.ID(), describe(*f.Store))
	fmt.Fprintf(a.env.Stderr, "hint: for who registers mcpauth: mcpauth keys jwks %s\nhint: for a document to publish: mcpauth cimd generate --key %s\n", name, name)
	return nil
}

func newKeysRotate(a *app) *cobra.Command {
	var alg string
	var finish bool
	c := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace a key in two steps: publish the next one, then let it sign",
		Long: `Make the next key beside the current one, which goes on signing. Publish both
(mcpauth keys jwks NAME, or mcpauth cimd generate), wait until authorization servers
have read them - many keep what they have read for a day - and then let the next key
sign and drop the one before it:

  mcpauth keys rotate acme
  mcpauth keys rotate acme --finish`,
		Args:              takes("the name of a key", 1, 1),
		ValidArgsFunction: keyNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if finish && cmd.Flags().Changed("alg") {
				return &usageError{text: "--alg is for the next key, which --finish does not make", hint: "mcpauth keys rotate --help"}
			}
			return rotateKey(cmd.Context(), a, args[0], alg, finish)
		},
	}
	c.Flags().StringVar(&alg, "alg", "", "the `algorithm` of the next key (default: that of the current one)")
	c.Flags().BoolVar(&finish, "finish", false, "let the next key sign, and drop the current one")
	return c
}

func rotateKey(ctx context.Context, a *app, name, alg string, finish bool) error {
	k, err := a.openKeys()
	if err != nil || k == nil {
		return missingKey(name, err)
	}
	if finish {
		p, err := k.Finish(ctx, name)
		if err != nil {
			return err
		}
		a.say("the key %s now signs as %s, and the one before it is gone", name, p.Current.ID())
		fmt.Fprintf(a.env.Stderr, "hint: what is published can do without the old key now: mcpauth keys jwks %s\n", name)
		return nil
	}
	p, err := k.Rotate(ctx, name, alg)
	if err != nil {
		return err
	}
	a.say("made the next key of %s: %s, key ID %s; the key ID %s goes on signing", name, p.Next.Algorithm(), p.Next.ID(), p.Current.ID())
	fmt.Fprintf(a.env.Stderr, "hint: publish both: mcpauth keys jwks %s\nhint: and when authorization servers have read them: mcpauth keys rotate %s --finish\n", name, name)
	return nil
}

func newKeysJWKS(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "jwks NAME",
		Short:             "Print the public half as a JSON Web Key Set",
		Long:              `Print what is to be published of a key: its public half, and that of the next one.`,
		Args:              takes("the name of a key", 1, 1),
		ValidArgsFunction: keyNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.openKeys()
			if err != nil || k == nil {
				return missingKey(args[0], err)
			}
			p, err := clientkey.Load(cmd.Context(), k.Vault, args[0])
			if err != nil {
				return err
			}
			return a.printJWKS(p)
		},
	}
}

func (a *app) printJWKS(p clientkey.Pair) error {
	text, err := json.MarshalIndent(cimd.PublicKeys(p.Public("")), "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.env.Stdout, "%s\n", text)
	return err
}

func newKeysList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the keys, without any secret",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return listKeys(cmd.Context(), a) },
	}
	c.Flags().BoolVar(&a.json, "json", false, "print as JSON")
	return c
}

// keyView is one key of the list.
type keyView struct {
	Name      string    `json:"name"`
	Algorithm string    `json:"alg"`
	KeyID     string    `json:"kid"`
	Made      time.Time `json:"made"`
	Next      *keyView  `json:"next,omitempty"`
}

func listKeys(ctx context.Context, a *app) error {
	k, err := a.openKeys()
	if err != nil {
		return err
	}
	var pairs []clientkey.Pair
	if k != nil {
		pairs, err = k.List(ctx) // those that can be read, beside the error
	}
	list := []keyView{}
	for _, p := range pairs {
		v := keyView{p.Name, p.Current.Algorithm(), p.Current.ID(), p.Current.Made, nil}
		if n := p.Next; n != nil {
			v.Next = &keyView{p.Name, n.Algorithm(), n.ID(), n.Made, nil}
		}
		list = append(list, v)
	}
	if a.json {
		return errors.Join(err, writeJSON(a.env.Stdout, struct {
			Version int       `json:"version"`
			Keys    []keyView `json:"keys"`
		}{1, list}))
	}
	if len(list) == 0 && err == nil {
		a.say("there are no keys")
		fmt.Fprintln(a.env.Stderr, "hint: mcpauth keys generate NAME")
		return nil
	}
	tw := tabwriter.NewWriter(a.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tALG\tKEY ID\tMADE\tNEXT KEY ID")
	for _, v := range list {
		next := "-"
		if v.Next != nil {
			next = v.Next.KeyID
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", v.Name, v.Algorithm, v.KeyID, v.Made.Local().Format(time.DateTime), next)
	}
	return errors.Join(err, tw.Flush())
}

func newKeysRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a key and its next one, for ever",
		Long: `Forget a key. Nobody can bring it back, and clients that prove themselves by it
cannot any longer; one that the configuration names is not removed.`,
		Args:              takes("the name of a key", 1, 1),
		ValidArgsFunction: keyNames(a),
		RunE:              func(cmd *cobra.Command, args []string) error { return removeKey(cmd.Context(), a, args[0]) },
	}
}

func removeKey(ctx context.Context, a *app, name string) error {
	k, err := a.openKeys()
	if err != nil || k == nil {
		return missingKey(name, err)
	}
	if where := a.usesKey(name); where != "" {
		return &usageError{text: fmt.Sprintf("the configuration uses the key %q in %s", name, where), hint: "take it out of " + a.cfg.Path + " first"}
	}
	if err := k.Remove(ctx, name); err != nil {
		return err
	}
	a.say("removed the key %s", name)
	return nil
}

// usesKey says where the configuration names a key, or "".
func (a *app) usesKey(name string) string {
	if a.cfg.Client().ClientAuth.KeyName == name {
		return "client.clientAuth"
	}
	for _, p := range a.cfg.IdPs() {
		if p.ClientAuth.KeyName == name {
			return "the identity provider " + p.Name
		}
	}
	for _, s := range a.cfg.Servers() {
		if s.OAuth.ClientAuth.KeyName == name {
			return "mcpServers." + s.Name
		}
	}
	return ""
}

// openKeys opens the keys of the store that is in use. It is nil when nobody has
// begun to use the one that is configured: there are no keys then.
func (a *app) openKeys() (*clientkey.Keeper, error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	return a.keysOfStore()
}

func (a *app) keysOfStore() (*clientkey.Keeper, error) {
	_, err := a.store()
	var none *identity.SignedOut
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.keysIn(), nil
}

func (a *app) keysIn() *clientkey.Keeper {
	return &clientkey.Keeper{Vault: a.vault, State: a.state, Now: a.env.Now}
}

// leavesKeys is the error of a change of stores that would leave keys behind, where
// nothing finds them. A store that cannot be opened any more holds nobody up.
func (a *app) leavesKeys(ctx context.Context, kept state.Store) error {
	defer func() { a.vault = nil }()
	if _, err := a.openStore(kept); err != nil {
		return nil
	}
	list, _ := a.keysIn().List(ctx)
	if len(list) == 0 {
		return nil
	}
	return &usageError{
		text: fmt.Sprintf("there are keys in the %s already (%s), and one store holds them all", describe(kept), list[0].Name),
		hint: "look at them before you choose another store: mcpauth keys list",
	}
}

// missingKey is the error about a key of a store that could not be opened, or that
// is none.
func missingKey(name string, err error) error {
	if err != nil {
		return err
	}
	return &clientkey.Missing{Name: name}
}

// keyNames completes the names of keys.
func keyNames(a *app) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			if k, err := a.openKeys(); err == nil && k != nil {
				pairs, _ := k.List(cmd.Context()) // what cannot be read cannot be completed
				for _, p := range pairs {
					names = append(names, p.Name)
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
