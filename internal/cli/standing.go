package cli

import (
	"context"
	"sync"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
)

// standing gives tokens for as long as a program runs. After a failure everything
// is built again from the configuration and the sign-in as they are by then, so
// that a login in another terminal is enough to go on.
type standing struct {
	first *app // opened; gives the network, which outlives all that is built again

	// interactive lets a person be asked in the browser, as who started the program
	// wanted it.
	interactive bool

	mu        sync.Mutex
	current   *app // nil: to be opened
	sources   map[string]*token.Source
	finishing sync.WaitGroup
}

// get returns a token for a server as it was configured when the program started.
func (s *standing) get(ctx context.Context, server config.Server, ask token.Ask) (token.Token, error) {
	src, from, err := s.source(server)
	if err != nil {
		s.drop(ctx, from)
		return token.Token{}, err
	}
	ask.Proves = true
	t, err := src.Get(ctx, ask)
	if s.interactive && err != nil {
		var asked bool
		if asked, err = from.askPerson(ctx, src, err); asked && err == nil {
			t, err = src.Get(ctx, ask)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.drop(ctx, from)
	}
	return t, err
}

func (s *standing) source(server config.Server) (*token.Source, *app, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		if s.first.calls == nil {
			s.first.calls = vault.NewCalls()
		}
		a := &app{env: s.first.env, flags: s.first.flags, verbose: s.first.verbose, calls: s.first.calls}
		if err := a.open(); err != nil {
			return nil, nil, err
		}
		a.use(s.first.net)
		if a.state.Path() == s.first.state.Path() { // who waits for a lock there takes over from who gave up
			a.state = s.first.state
		}
		s.current, s.sources = a, map[string]*token.Source{}
	}
	if src := s.sources[server.Name]; src != nil {
		return src, s.current, nil
	}
	if err := s.current.unmoved(server); err != nil {
		return nil, s.current, err
	}
	src, err := s.current.source(server.Name)
	if err != nil {
		return nil, s.current, err
	}
	s.sources[server.Name] = src
	return src, s.current, nil
}

// drop has the next caller build everything again, unless another one had that
// done already.
func (s *standing) drop(ctx context.Context, a *app) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a != nil && s.current == a {
		s.current, s.sources = nil, nil
		s.finishing.Go(func() { a.finish(ctx) })
	}
}

// finish waits for what outlives its callers.
func (s *standing) finish(ctx context.Context) {
	s.mu.Lock()
	a := s.current
	s.mu.Unlock()
	if a != nil {
		a.finish(ctx)
	}
	s.finishing.Wait()
}

// unmoved is an error when the name of a server, to whose URL a running program
// sends tokens, means another URL by now: that one's token must not go there.
func (a *app) unmoved(server config.Server) error {
	now, err := a.cfg.Server(server.Name)
	if err == nil && now.URL != server.URL {
		err = &usageError{text: "the URL of the server " + server.Name + " is another one since this program was started", hint: "start it again"}
	}
	return err
}
