package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/deliver/proxy"
	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

type proxyOptions struct {
	port       int
	socket     string
	secretFile string

	interactive bool
}

func newProxy(a *app) *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Serve all servers on this computer, for MCP clients that take only a URL and a header",
		Long: `Listen on 127.0.0.1 and forward /SERVER to the URL of each configured server, with
its access token added and renewed. Print the address, and the header that a client
has to send; the secret in it is good for this run and opens nothing elsewhere.

  mcpauth proxy
  mcpauth proxy --port 8910 --secret-file ~/.config/mcpauth/proxy.secret

With --socket there is no secret: the folder of the socket keeps others out.
The proxy runs until it is interrupted; after a "mcpauth login" it goes on.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runProxy(cmd.Context(), a, o) },
	}
	f := c.Flags()
	f.IntVar(&o.port, "port", 0, "listen at this port instead of any free one")
	f.StringVar(&o.socket, "socket", "", "listen at a Unix socket at this `path`, in a folder of mode 0700")
	f.StringVar(&o.secretFile, "secret-file", "", "write the secret to this `file` instead of printing it, and remove it at the end")
	f.BoolVar(&o.interactive, "interactive", false, "open the browser when you have to sign in or to agree; without it the client is told what to type")
	f.BoolVar(&a.json, "json", false, "print address, header and servers as JSON")
	return c
}

func runProxy(ctx context.Context, a *app, o proxyOptions) (err error) {
	switch {
	case o.socket != "" && (o.port != 0 || o.secretFile != ""):
		return &usageError{text: "--socket goes with neither --port nor --secret-file"}
	case o.port < 0 || o.port > 65535:
		return &usageError{text: fmt.Sprintf("%d is not a port number", o.port)}
	}
	if err := a.open(); err != nil {
		return err
	}
	servers, err := a.allServers()
	if err != nil {
		return err
	}
	n, err := a.network()
	if err != nil {
		return err
	}
	tokens := &standing{first: a, interactive: o.interactive}
	defer tokens.finish(ctx)
	p := &proxy.Proxy{Net: n, Now: a.env.Now, Explain: problem, Log: a.logProblem}
	if o.interactive {
		p.TokenTime = personTime
	}
	for _, s := range servers {
		p.Servers = append(p.Servers, proxy.Server{Name: s.Name, URL: s.URL, Token: func(ctx context.Context, ask token.Ask) (token.Token, error) {
			return tokens.get(ctx, s, ask)
		}})
	}
	l, err := o.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	if o.socket == "" {
		p.Secret = secret.New(rand.Text())
	}
	if o.secretFile != "" {
		if err := writeSecretFile(o.secretFile, p.Secret); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removeSecretFile(o.secretFile, p.Secret)) }()
	}
	if err := a.announce(o, l, p); err != nil {
		return err
	}
	return p.Serve(ctx, l)
}

// allServers are the configured ones, at least one.
func (a *app) allServers() ([]config.Server, error) {
	list := a.cfg.Servers()
	if len(list) == 0 {
		return nil, &usageError{text: "no server is configured", hint: "mcpauth server add NAME URL --client-id ID"}
	}
	return list, nil
}

func (o proxyOptions) listen() (net.Listener, error) {
	if o.socket != "" {
		return proxy.ListenSocket(o.socket)
	}
	return proxy.Listen(o.port)
}

// announce prints where the proxy is and what it wants to be sent.
func (a *app) announce(o proxyOptions, l net.Listener, p *proxy.Proxy) error {
	base := "http://" + l.Addr().String()
	if o.socket != "" {
		base = "http://localhost"
	}
	out := struct {
		Version    int               `json:"version"`
		URL        string            `json:"url"`
		Socket     string            `json:"socket,omitempty"`
		Headers    map[string]string `json:"headers,omitempty"`
		SecretFile string            `json:"secret_file,omitempty"`
		Servers    map[string]string `json:"servers"`
	}{Version: 1, URL: base, Socket: o.socket, SecretFile: o.secretFile, Servers: map[string]string{}}
	lines := []string{base}
	switch {
	case o.socket != "":
		lines = []string{o.socket}
	case o.secretFile == "":
		out.Headers = map[string]string{"Authorization": "Bearer " + p.Secret.Reveal()}
		lines = append(lines, "Authorization: Bearer "+p.Secret.Reveal())
	default:
		a.say("clients have to send: Authorization: Bearer, and the content of %s", o.secretFile)
	}
	for _, s := range p.Servers {
		out.Servers[s.Name] = base + "/" + s.Name
		a.say("%s is at %s", s.Name, base+"/"+s.Name)
	}
	if a.json {
		return writeJSON(a.env.Stdout, out)
	}
	_, err := fmt.Fprintln(a.env.Stdout, strings.Join(lines, "\n"))
	return err
}

// problem is explain for an MCP client that shows what it is answered.
func problem(err error) proxy.Problem {
	r := explain(err)
	if len(r.Facts) > 0 && r.Server != "" { // they are many lines
		r.Hints = []string{"for your administrator: mcpauth explain " + r.Server}
	}
	return proxy.Problem{Code: wire.Clean(r.Code), Message: wire.Clean(r.Message), Hint: wire.Clean(strings.Join(r.Hints, "; "))}
}

func (a *app) logProblem(server string, p proxy.Problem) {
	a.say("%s: %s", server, p.Message)
	if p.Hint != "" {
		fmt.Fprintf(a.env.Stderr, "hint: %s\n", p.Hint)
	}
}

// writeSecretFile replaces the file as one step. It is open to this account only,
// and has no line break, so that a client can put its content into a header.
func writeSecretFile(path string, s secret.Text) error {
	if err := ownfile.Replace(path, []byte(s.Reveal()), 0o600); err != nil {
		return fmt.Errorf("write the proxy's secret: %w", err)
	}
	return nil
}

// removeSecretFile leaves the file alone that a later run has put in its place.
func removeSecretFile(path string, s secret.Text) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !secret.New(string(b)).Equal(s) {
		return nil
	}
	if err == nil {
		err = ownfile.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("remove the proxy's secret: %w", err)
	}
	return nil
}
