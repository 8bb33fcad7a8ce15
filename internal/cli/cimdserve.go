package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/pkg/cimd"
)

func newCIMDServe(a *app) *cobra.Command {
	var o documentOptions
	var port int
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the document and its keys on this computer, for trying things out",
		Long: `Serve the document, and the keys that it refers to, over plain http on 127.0.0.1, and
print its address. The document is about that address, or about --url if something
with https stands in front of this computer and forwards to it.

Authorization servers want https, and a host that they can reach; most refuse an
address on loopback. For use, publish the document with a static web host of your
company (mcpauth cimd generate).`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveDocument(cmd.Context(), a, o, port) },
	}
	c.Flags().StringVar(&o.URL, "url", "", "the `URL` that others see (default: the address on this computer)")
	o.bind(c)
	c.Flags().IntVar(&port, "port", 0, "listen at this port instead of any free one")
	return c
}

func serveDocument(ctx context.Context, a *app, o documentOptions, port int) error {
	if port < 0 || port > 65535 {
		return &usageError{text: fmt.Sprintf("%d is not a port number", port)}
	}
	seen, err := url.Parse(o.URL)
	if o.URL != "" && (err != nil || seen.Scheme != "https" && seen.Scheme != "http" || seen.Host == "" || seen.Path == "" || seen.Path == keysPath) {
		return &usageError{text: fmt.Sprintf("%q is not an http or https URL with a path", o.URL), hint: "mcpauth cimd serve --url https://your-company.example/mcpauth.json"}
	}
	if err := a.open(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return &usageError{text: fmt.Sprintf("cannot listen at port %d of this computer", port), hint: "at any free port: mcpauth cimd serve"}
	}
	defer l.Close()
	local := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/mcpauth.json"}
	if o.URL == "" {
		o.URL, seen = local.String(), local
	}
	local.Path = seen.Path
	pages, err := a.pages(ctx, o, seen)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.env.Stdout, local); err != nil {
		return err
	}
	a.say("serving the document of %s until interrupted", o.URL)
	return servePages(ctx, l, []string{local.Host, seen.Host}, pages)
}

// keysPath is where the keys are served.
const keysPath = "/jwks.json"

// pages are the document and its keys, by their paths.
func (a *app) pages(ctx context.Context, o documentOptions, seen *url.URL) (map[string][]byte, error) {
	doc, err := a.documentOf(ctx, o)
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{}
	if doc.JWKS != nil {
		if pages[keysPath], err = json.MarshalIndent(doc.JWKS, "", "  "); err != nil {
			return nil, err
		}
		doc.JWKS, doc.JWKSURI = nil, (&url.URL{Scheme: seen.Scheme, Host: seen.Host, Path: keysPath}).String()
	}
	if pages[seen.Path], err = doc.Encode(); err != nil {
		return nil, err
	}
	for _, f := range cimd.Lint(o.URL, pages[seen.Path]) {
		a.say("%s", f)
	}
	return pages, nil
}

// servePages answers to the names that it is known by and to no other (S10).
func servePages(ctx context.Context, l net.Listener, hosts []string, pages map[string][]byte) error {
	s := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, ok := pages[r.URL.Path]
			switch {
			case r.Host != hosts[0] && r.Host != hosts[1]:
				http.Error(w, "not a name of this server", http.StatusMisdirectedRequest)
			case r.Method != http.MethodGet && r.Method != http.MethodHead:
				http.Error(w, "GET is all there is", http.StatusMethodNotAllowed)
			case !ok:
				http.NotFound(w, r)
			default:
				h := w.Header()
				h.Set("Content-Type", "application/json")
				h.Set("Cache-Control", "no-store")
				h.Set("X-Content-Type-Options", "nosniff")
				w.Write(body)
			}
		}),
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
