package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/clientkey"
	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/pkg/cimd"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
)

func newCIMD(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cimd",
		Short: "A document that tells authorization servers who mcpauth is: generate, lint, serve",
		Long: `A Client ID Metadata Document is a JSON file at an https URL, and that URL is the
client ID: an authorization server that has never heard of mcpauth reads there who it
is. A company publishes one, and names it in the configuration of its computers:

  "client": { "metadataUrl": "https://acme.example/mcpauth.json" }`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newCIMDGenerate(a), newCIMDLint(a), newCIMDServe(a))
	return c
}

// documentOptions describe a document, for generate and serve.
type documentOptions struct {
	cimd.Options
	key    string
	output string
}

func (o *documentOptions) bind(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Name, "name", "mcpauth", "what people are shown when they are asked for consent")
	f.StringVar(&o.LogoURI, "logo", "", "the `URL` of a logo")
	f.StringVar(&o.ClientURI, "client-uri", "", "the `URL` of a page about the client, on the document's own host")
	f.StringArrayVar(&o.RedirectURIs, "redirect-uri", nil, "a redirect `URI`; may be repeated (default: the loopback addresses, with the paths that the configuration names)")
	f.StringVar(&o.key, "key", "", "the `NAME` of a key to put in, for private_key_jwt (default: what the configuration names for this URL)")
}

func newCIMDGenerate(a *app) *cobra.Command {
	var o documentOptions
	c := &cobra.Command{
		Use:   "generate --url URL",
		Short: "Write the document for a company to publish",
		Long: `Write the document. Publish it at exactly that URL: over https, as application/json,
with status 200 and without a redirect, from a place that only those can change who
may decide who mcpauth is. Any static web host will do.

  mcpauth keys generate acme
  mcpauth cimd generate --url https://acme.example/mcpauth.json --key acme --output mcpauth.json
  mcpauth cimd lint https://acme.example/mcpauth.json

Without a key anybody can claim to be this client. With one, mcpauth proves itself by
it, and every computer that acts as this client needs a key that is published: its own,
or the same one as a file ("keyFile"). Keys that are published at a URL of their own
(--jwks-uri) can be many, and are replaced there.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return generateDocument(cmd.Context(), a, o) },
	}
	f := c.Flags()
	f.StringVar(&o.URL, "url", "", "the `URL` at which it will be published, the client ID (default: client.metadataUrl of the configuration)")
	o.bind(c)
	f.StringVar(&o.JWKSURI, "jwks-uri", "", "the `URL` at which the keys are published (mcpauth keys jwks), instead of --key")
	f.StringVar(&o.output, "output", "", "write to this `file` instead of standard output")
	return c
}

func generateDocument(ctx context.Context, a *app, o documentOptions) error {
	if o.key != "" && o.JWKSURI != "" {
		return &usageError{text: "a document has its keys in it (--key) or elsewhere (--jwks-uri), not both", hint: "mcpauth cimd generate --help"}
	}
	if err := a.open(); err != nil {
		return err
	}
	if o.URL == "" {
		o.URL = a.cfg.Client().MetadataURL
	}
	if o.URL == "" {
		return &usageError{text: "the document needs the URL at which it will be published", hint: "mcpauth cimd generate --url https://your-company.example/mcpauth.json"}
	}
	doc, err := a.documentOf(ctx, o)
	if err != nil {
		return err
	}
	body, err := doc.Encode()
	if err != nil {
		return err
	}
	list := cimd.Lint(o.URL, body)
	for _, f := range list {
		a.say("%s", f)
	}
	if cimd.Broken(list) {
		return &usageError{text: "a document with these options would break the rules above", hint: "mcpauth cimd generate --help"}
	}
	if o.output == "" {
		_, err := a.env.Stdout.Write(body)
		return err
	}
	if err := ownfile.Replace(o.output, body, 0o644); err != nil {
		return err
	}
	a.say("wrote %s", o.output)
	fmt.Fprintf(a.env.Stderr, "hint: publish it at %s, then: mcpauth cimd lint %s\n", o.URL, o.URL)
	if a.cfg.Client().MetadataURL != o.URL {
		fmt.Fprintf(a.env.Stderr, "hint: set client.metadataUrl to %q in %s\n", o.URL, a.cfg.Path)
	}
	return nil
}

// documentOf makes the document of the options; what they leave open, the
// configuration says.
func (a *app) documentOf(ctx context.Context, o documentOptions) (cimd.Document, error) {
	if o.RedirectURIs == nil {
		o.RedirectURIs = cimd.DefaultRedirectURIs()
		for _, uri := range a.redirectURIs(o.URL) {
			if !slices.Contains(o.RedirectURIs, uri) {
				o.RedirectURIs = append(o.RedirectURIs, uri)
			}
		}
	}
	auth, _ := a.authOf(o.URL)
	if o.key != "" {
		auth = config.Auth{KeyName: o.key}
	}
	if o.JWKSURI == "" {
		if err := a.putKeys(ctx, &o.Options, auth); err != nil {
			return cimd.Document{}, err
		}
	}
	return cimd.Generate(o.Options), nil
}

// redirectURIs are those to which this computer has people come back as the client
// with this ID.
func (a *app) redirectURIs(clientID string) []string {
	var list []string
	for _, s := range a.cfg.Servers() {
		o := s.OAuth
		mode := o.ModeOrDefault()
		if mode != config.ModeOAuth && mode != config.ModeAuto || o.ASClientID != "" && o.ASClientID != clientID {
			continue
		}
		uri := "http://" + o.RedirectHostOrDefault() + o.RedirectPathOrDefault()
		if !slices.Contains(list, uri) {
			list = append(list, uri)
		}
	}
	if list == nil {
		list = cimd.DefaultRedirectURIs()[:1]
	}
	return list
}

// authOf is how the client with this ID proves itself by the configuration; ok is
// false when no such client is in it.
func (a *app) authOf(clientID string) (auth config.Auth, ok bool) {
	if c := a.cfg.Client(); c.MetadataURL == clientID {
		return c.ClientAuth, true
	}
	for _, s := range a.cfg.Servers() {
		if s.OAuth.ASClientID == clientID {
			return s.OAuth.ClientAuth, true
		}
	}
	return config.Auth{}, false
}

// putKeys puts the public halves of a client's keys into the options of its
// document, the one that signs first.
func (a *app) putKeys(ctx context.Context, o *cimd.Options, auth config.Auth) error {
	switch {
	case auth.KeyName != "":
		k, err := a.keysOfStore()
		if err != nil || k == nil {
			return missingKey(auth.KeyName, err)
		}
		p, err := clientkey.Load(ctx, k.Vault, auth.KeyName)
		if err != nil {
			return err
		}
		o.Keys = p.Public(auth.KeyID)
	case auth.KeyFile != "":
		text, err := auth.Key()
		if err != nil {
			return err
		}
		key, err := clientauth.ParseKey([]byte(text.Reveal()), auth.KeyID)
		if err != nil {
			return &config.Error{Where: auth.KeyFile, Why: err.Error()} // which never shows the key
		}
		o.Keys = append(o.Keys, key.Public())
	}
	return nil
}

// brokenDocument says that a published document breaks rules.
type brokenDocument struct {
	url    string
	errors int
}

func (e *brokenDocument) Error() string {
	if e.errors == 1 {
		return fmt.Sprintf("the document of %q breaks a rule", e.url)
	}
	return fmt.Sprintf("the document of %q breaks %d rules", e.url, e.errors)
}
