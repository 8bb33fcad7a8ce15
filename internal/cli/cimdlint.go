package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/cimd"
)

func newCIMDLint(a *app) *cobra.Command {
	var url string
	c := &cobra.Command{
		Use:   "lint [URL|FILE|-]",
		Short: "Check a document, published or not, and compare it with what this computer needs",
		Long: `Check a document against every rule of the Client ID Metadata Document draft and of
MCP 2026-07-28, and against what this computer would publish: its redirect URIs, how
it proves itself, its keys. A URL is fetched as an authorization server does it; a
file, or standard input (-), is checked as if it were published at --url. Without an
argument the document is the one that the configuration names.

  mcpauth cimd lint https://acme.example/mcpauth.json
  mcpauth cimd lint mcpauth.json --url https://acme.example/mcpauth.json

Each finding names its rule and says what to change. The exit code is 7 when a rule
is broken, and 0 when there are warnings only.`,
		Args: takes("one URL or file", 0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lintDocument(cmd.Context(), a, strings.Join(args, ""), url)
		},
	}
	c.Flags().StringVar(&url, "url", "", "the `URL` at which a file is, or will be, published (default: client.metadataUrl of the configuration)")
	c.Flags().BoolVar(&a.json, "json", false, "print as JSON")
	return c
}

func lintDocument(ctx context.Context, a *app, where, url string) error {
	if err := a.open(); err != nil {
		return err
	}
	company := a.cfg.Client().MetadataURL
	var list []cimd.Finding
	var err error
	switch {
	case where == "" && company == "":
		return &usageError{text: "which document? the configuration names none", hint: "mcpauth cimd lint https://your-company.example/mcpauth.json"}
	case where == "" && url == "", strings.Contains(where, "://"):
		if url != "" {
			return &usageError{text: "--url is for a file; a URL is where it is", hint: "mcpauth cimd lint --help"}
		}
		if url = where; url == "" {
			url = company
		}
		list, err = a.lintURL(ctx, url)
	case where == "":
		return &usageError{text: "--url is for a file, and there is none", hint: "mcpauth cimd lint " + bare(url)}
	default:
		if url == "" {
			url = company
		}
		if url == "" {
			return &usageError{text: "a file has to be checked for the URL at which it is published", hint: "mcpauth cimd lint FILE --url https://your-company.example/mcpauth.json"}
		}
		list, err = a.lintFile(ctx, where, url)
	}
	if err != nil {
		return err
	}
	return a.tell(url, list)
}

// tell prints the findings, which are the answer.
func (a *app) tell(url string, list []cimd.Finding) error {
	broken := &brokenDocument{url: url}
	for _, f := range list {
		if f.Severity == cimd.Error {
			broken.errors++
		}
	}
	if a.json {
		err := writeJSON(a.env.Stdout, struct {
			Version  int            `json:"version"`
			URL      string         `json:"url"`
			Findings []cimd.Finding `json:"findings"`
		}{1, url, append([]cimd.Finding{}, list...)})
		if err != nil {
			return err
		}
	} else {
		for _, f := range list {
			fmt.Fprintln(a.env.Stdout, f)
		}
	}
	switch {
	case broken.errors > 0:
		return broken
	case len(list) == 0:
		a.say("nothing is wrong with the document of %q", url)
	default:
		a.say("the document of %q breaks no rule", url)
	}
	return nil
}

// lintFile checks a document that is not published, or not yet.
func (a *app) lintFile(ctx context.Context, path, url string) ([]cimd.Finding, error) {
	in := a.env.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, &usageError{text: fmt.Sprintf("the document has more than %d bytes, and may have %d", maxDocument, cimd.MaxSize)}
	}
	list := cimd.Lint(url, body)
	doc, err := cimd.Parse(body)
	if err != nil { // of which the findings tell
		return list, nil
	}
	return append(list, a.compare(ctx, url, doc)...), nil
}

// maxDocument is what is read of a file: more than a document may have.
const maxDocument = 64 << 10

// lintURL checks a document where it is published, with the keys that it refers to.
func (a *app) lintURL(ctx context.Context, url string) ([]cimd.Finding, error) {
	n, err := a.network()
	if err != nil {
		return nil, err
	}
	n.Configured(url) // a person wrote it down
	ctx = wire.OnBehalfOf(ctx, url)
	body, list, err := cimd.Fetch(ctx, n.Client(), url)
	if blocked := (*wire.Blocked)(nil); errors.As(err, &blocked) && cimd.Broken(cimd.LintURL(url)) {
		return cimd.LintURL(url), nil // nobody may ask there, such as at a plain http URL
	}
	if err != nil {
		return nil, err
	}
	if body == nil {
		return append(cimd.LintURL(url), list...), nil
	}
	list = append(list, cimd.Lint(url, body)...)
	doc, err := cimd.Parse(body)
	if err != nil { // of which the findings tell
		return list, nil
	}
	if doc.JWKS == nil && doc.JWKSURI != "" {
		keys, more, err := cimd.Fetch(ctx, n.Client(), doc.JWKSURI)
		if err != nil {
			more = append(more, unreachable(doc.JWKSURI, err))
		}
		if keys != nil {
			more = append(more, cimd.LintKeys(keys, "")...)
			doc.JWKS, _ = cimd.ParseKeys(keys) // of whose errors the findings tell
		}
		list = append(list, more...)
	}
	return append(list, a.compare(ctx, url, doc)...), nil
}

// unreachable is the finding about keys that could not be asked for. That their URL
// may not be followed from here is known without a request.
func unreachable(url string, err error) cimd.Finding {
	why := wire.Explain(err)
	if blocked := (*wire.Blocked)(nil); errors.As(err, &blocked) {
		why = blocked.Error()
	}
	return cimd.Finding{
		Rule: "served-keys", Severity: cimd.Error, Source: "RFC 7591 section 2",
		Message: fmt.Sprintf("have the keys answered at %+.120q: %s", url, wire.Clean(why)),
	}
}

// compare tells what a document lacks for this computer.
func (a *app) compare(ctx context.Context, url string, published cimd.Document) []cimd.Finding {
	o := cimd.Options{URL: url, RedirectURIs: a.redirectURIs(url)}
	auth, known := a.authOf(url)
	err := a.putKeys(ctx, &o, auth)
	if err != nil {
		a.warn("the keys of this computer are not compared: " + err.Error())
	}
	ours := cimd.Generate(o)
	ours.ClientID = ""        // of which Lint tells
	if !known || err != nil { // it may act as another client, or by other means
		ours.TokenEndpointAuthMethod = ""
	}
	if auth.Method != "" {
		ours.TokenEndpointAuthMethod = auth.Method
	}
	if auth.KeyFile != "" && auth.KeyID == "" && ours.JWKS != nil { // the assertions of such a key name none
		for i := range ours.JWKS.Keys {
			ours.JWKS.Keys[i].KeyID = ""
		}
	}
	return cimd.Compare(published, ours)
}
