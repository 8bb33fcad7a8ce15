package cli

import (
	"log/slog"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
)

// network is the one way out, made when the first request needs it.
func (a *app) network() (*wire.Net, error) {
	if a.net != nil {
		return a.net, nil
	}
	o := wire.Options{CAFile: a.cfg.CAFile(), UserAgent: "mcpauth/" + version()}
	if a.verbose {
		o.Log = slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := wire.New(o)
	if err != nil {
		return nil, err
	}
	a.use(n)
	return n, nil
}

// use takes a network. What the person wrote down is trusted to be where it says.
func (a *app) use(n *wire.Net) {
	for _, p := range a.cfg.IdPs() {
		n.Configured(p.Issuer)
		n.Configured(p.TokenEndpoint)
	}
	for _, s := range a.cfg.Servers() {
		a.trust(n, s)
	}
	a.net = n
}

func (a *app) trust(n *wire.Net, s config.Server) {
	for _, u := range []string{s.URL, s.OAuth.Issuer, s.OAuth.TokenEndpoint} {
		if u != "" {
			n.Configured(u)
		}
	}
}

func (a *app) discovery() (*discover.Client, error) {
	n, err := a.network()
	if err != nil {
		return nil, err
	}
	return &discover.Client{HTTP: n.Client(), Cache: token.MetadataCache{State: a.state, Now: a.env.Now}, Now: a.env.Now}, nil
}
