package cli

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mcpauth/mcpauth/internal/token"
)

func newWarm(a *app) *cobra.Command {
	var ask token.Ask
	c := &cobra.Command{
		Use:   "warm [SERVER…]",
		Short: "Get the tokens that are missing, for all servers side by side",
		Long: `Get a token for each of the servers, or of all, and keep it for the first use. The
identity provider then sees that you were at each of them, so this is never done
without being asked for.`,
		ValidArgsFunction: serverNames(a),
		RunE:              func(cmd *cobra.Command, args []string) error { return warm(cmd.Context(), a, args, ask) },
	}
	c.Flags().DurationVar(&ask.MinTTL, "min-ttl", 0, "the time that a token must still be good for, such as 5m")
	c.Flags().BoolVar(&ask.Fresh, "fresh", false, "get new tokens, whatever is kept")
	return c
}

func warm(ctx context.Context, a *app, names []string, ask token.Ask) error {
	if err := a.open(); err != nil {
		return err
	}
	if len(names) == 0 {
		servers, err := a.allServers()
		if err != nil {
			return err
		}
		for _, s := range servers {
			names = append(names, s.Name)
		}
	}
	var sources []*token.Source
	for _, name := range names {
		s, err := a.source(name)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	// It is over in half a second, and a hundred handshakes leave more behind than is
	// in use: without this a tenth of the time goes into collecting it.
	if a.env.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	ctx, cancel := context.WithTimeout(a.insisting(ctx), manyTime)
	defer cancel()
	errs := make([]error, len(sources))
	var g errgroup.Group
	g.SetLimit(sideBySide)
	for i, s := range sources {
		g.Go(func() error {
			t, err := s.Get(ctx, ask)
			errs[i] = err
			if err == nil && a.env.Terminal {
				a.say("%s: good until %s", s.Server.Name, t.Expires.Local().Format(time.DateTime))
			}
			return nil
		})
	}
	_ = g.Wait() // each has an error of its own
	return a.tellAll(sources, errs)
}

// tellAll prints every failure but the first, which is the command's own. One that
// is the same for several servers is told once.
func (a *app) tellAll(sources []*token.Source, errs []error) error {
	var first error
	var got int
	told := map[string]bool{}
	for _, err := range errs {
		switch {
		case err == nil:
			got++
		case first == nil:
			first = err
			told[explain(err).Message] = true
		case !told[explain(err).Message]:
			told[explain(err).Message] = true
			explain(err).print(a.env.Stderr, false)
		}
	}
	a.say("%d of %d servers have a token", got, len(sources))
	return first
}
