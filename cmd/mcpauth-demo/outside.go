package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// clientConfig is what a company rolls out to its computers, before anybody signs in.
const clientConfig = `"client": { "metadataUrl": "` + company.DocumentURL + `",
            "clientAuth": { "key": "acme" } }`

// rollOut writes the configuration that a computer comes with.
func rollOut(home, content string) error {
	dir := filepath.Join(home, ".config", "mcpauth")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), []byte("{ "+content+" }\n"), 0o600)
}

// introduce makes the key and the document by which servers know mcpauth.
func (s *story) introduce(ctx context.Context) error {
	s.screen.prose("Servers know mcpauth by a document that Acme publishes. Its URL is the client ID, a key in it takes the place of a secret, " +
		"and nobody has to register anything. The configuration of Acme's computers names both:")
	s.screen.blank()
	s.screen.verbatim(clientConfig)
	if err := s.must(ctx, "keys", "generate", "acme"); err != nil {
		return err
	}
	if err := s.must(ctx, "cimd", "generate", "--name", "Acme agents", "--output", "~/mcpauth.json"); err != nil {
		return err
	}
	document, err := os.ReadFile(filepath.Join(s.shell.home, "mcpauth.json"))
	if err != nil {
		return err
	}
	s.company.Publish(company.DocumentURL, document)
	return nil
}

// consent reaches the server that Acme does not manage, which asks the person.
func (s *story) consent(ctx context.Context) error {
	s.screen.prose("Globex is a supplier, and Acme does not manage its tracker. So it asks the person, once. " +
		"It has never heard of mcpauth, but reads documents from " + company.Trusted + ".")
	if err := s.nameTracker(ctx); err != nil {
		return err
	}
	r := s.shell.run(ctx, secret.Text{}, "login", tracker)
	s.screen.output(withoutHints(r.stderr))
	s.witnesses()
	switch {
	case r.code == 0:
		if err := s.mustUse(ctx, tracker); err != nil {
			return err
		}
		s.agreed = append(s.agreed, tracker)
	case s.auto:
		return ended(r.code)
	default: // whoever is at the browser may decline
		s.screen.bad(fmt.Sprintf("no consent, no token (exit code %d)", r.code))
	}
	return s.stranger(ctx)
}

const tracker = "tracker"

func (s *story) nameTracker(ctx context.Context) error {
	srv, _ := s.company.Server(tracker)
	r := s.shell.run(ctx, secret.Text{}, "server", "add", tracker, srv.URL, "--mode", "oauth")
	s.screen.output(firstLine(r.stderr))
	return ended(r.code)
}

// stranger comes to the same server with a document from outside the domains that
// it trusts, from a computer of its own.
func (s *story) stranger(ctx context.Context) error {
	s.screen.blank()
	s.screen.prose("Anybody can publish such a document. A contractor tries with one at a domain that Globex does not trust:")
	home, err := os.MkdirTemp(s.shell.home, "contractor-")
	if err != nil {
		return err
	}
	if err := rollOut(home, `"store": { "kind": "file", "keyFile": "`+filepath.ToSlash(filepath.Join(home, "store.key"))+`" }`); err != nil {
		return err
	}
	other := *s.shell
	other.home = home
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	other.open = func(ctx context.Context, address string) error {
		go func() {
			if _, err := s.company.SignIn(ctx, "bob", address); err != nil {
				giveUp() // the page says no and leads nowhere
			}
		}()
		return nil
	}
	srv, _ := s.company.Server(tracker)
	r := other.run(ctx, secret.Text{}, "server", "add", tracker, srv.URL, "--mode", "oauth", "--client-id", "https://contractor.test/mcpauth.json")
	if r.code != 0 {
		return ended(r.code)
	}
	r = other.run(ctx, secret.Text{}, "login", tracker)
	s.witnesses()
	log := s.company.Log()
	last := log[len(log)-1]
	if r.code == 0 || last.Allowed {
		return errors.New("a client from an untrusted domain was let in")
	}
	s.screen.bad(last.Why)
	return nil
}
