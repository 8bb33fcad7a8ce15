package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// story tells the whole flow once, and fails if it goes otherwise than told.
type story struct {
	company *company.Company
	shell   *shell
	screen  *screen
	auto    bool

	told    int // events of the company's log that were shown
	person  string
	reached []string
	refused []string
}

func (s *story) tell(ctx context.Context) error {
	s.screen.title("mcpauth", "one sign-in for every MCP server your company allows")
	s.screen.prose("Acme is a practice company, running on this computer: an identity provider, two authorization servers and three MCP servers. " +
		"Its policy lets engineering use the wiki and the tickets, and keeps payroll to finance. Alice is an engineer.")
	for i, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Sign in, once", s.signIn},
		{"Name the servers", s.nameServers},
		{"Use them, with no further question", s.useServers},
		{"What is known of all this", s.status},
		{"Alice leaves the company", s.leave},
		{"Sign out", s.signOut},
	} {
		s.screen.chapter(i+1, chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(chapter.title), err)
		}
	}
	s.summary()
	return nil
}

func (s *story) signIn(ctx context.Context) error {
	client := s.company.Client()
	if s.auto {
		s.screen.prose("The browser opens the company's own sign-in page. Nobody is at the browser here, so the demo signs Alice in.")
	} else {
		s.screen.prose("The browser opens the company's own sign-in page. Pick Alice there.")
	}
	if err := s.shell.write("idp-secret", client.Secret); err != nil {
		return err
	}
	r := s.shell.run(ctx, secret.Text{}, "login", "--issuer", s.company.IdP.Issuer, "--client-id", client.ClientID,
		"--client-secret-file", "~/idp-secret", "--store", "file", "--store-key-file", "~/store.key")
	s.screen.output(withoutHints(r.stderr))
	if r.code != 0 {
		return fmt.Errorf("mcpauth ended with exit code %d", r.code)
	}
	s.witnesses()
	var status struct {
		SignIns []struct{ Subject string }
	}
	if err := json.Unmarshal([]byte(s.quiet(ctx, "status", "--json").stdout), &status); err != nil || len(status.SignIns) != 1 {
		return errors.New("mcpauth does not know who is signed in")
	}
	s.person = status.SignIns[0].Subject
	return nil
}

// quiet runs a command that is no part of the story.
func (s *story) quiet(ctx context.Context, args ...string) result {
	sh := *s.shell
	sh.screen = &screen{w: discard{}}
	return sh.run(ctx, secret.Text{}, args...)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (s *story) nameServers(ctx context.Context) error {
	s.screen.prose("Each server says itself who issues its tokens. mcpauth shows that and pins it.")
	for _, srv := range s.company.Servers() {
		args := []string{"server", "add", srv.Name, srv.URL, "--client-id", srv.Client.ClientID}
		stdin := srv.Client.Secret
		if !srv.Client.KeyPEM.IsZero() {
			if err := s.shell.write("desk.pem", srv.Client.KeyPEM); err != nil {
				return err
			}
			args = append(args, "--client-key-file", "~/desk.pem", "--client-key-id", srv.Client.KeyID)
		} else {
			args = append(args, "--client-secret-stdin")
		}
		r := s.shell.run(ctx, stdin, args...)
		s.screen.output(withoutHints(r.stderr))
		if r.code != 0 {
			return fmt.Errorf("mcpauth ended with exit code %d", r.code)
		}
	}
	s.witnesses()
	return nil
}

// uses are the tools that the story calls.
var uses = map[string]struct {
	tool string
	args map[string]any
}{
	"wiki":    {"read_page", map[string]any{"title": "Onboarding"}},
	"tickets": {"create_ticket", map[string]any{"title": "The demo works"}},
	"payroll": {"read_salaries", nil},
}

func (s *story) useServers(ctx context.Context) error {
	s.screen.prose("mcpauth trades the sign-in for an ID-JAG, a grant for one server that the identity provider signs or refuses, " +
		"and the grant for an access token. No browser, no consent screen.")
	for _, srv := range s.company.Servers() {
		r := s.shell.run(ctx, secret.Text{}, "token", srv.Name)
		if r.code != 0 {
			s.screen.output(r.stderr)
			s.witnesses()
			s.screen.bad(fmt.Sprintf("refused by company policy (exit code %d)", r.code))
			s.refused = append(s.refused, srv.Name)
			if r.code != 4 {
				return fmt.Errorf("mcpauth ended with exit code %d, want a refusal (4)", r.code)
			}
			continue
		}
		token := secret.New(strings.TrimSpace(r.stdout))
		s.screen.output(fmt.Sprintf("%s (an access token of %d characters, not shown)", s.screen.paint(dim, "••••••••"), len(token.Reveal())))
		use := uses[srv.Name]
		answer, err := s.company.CallTool(ctx, srv.Name, token, use.tool, use.args)
		if err != nil {
			return fmt.Errorf("call %s: %w", use.tool, err)
		}
		s.witnesses()
		s.screen.good(fmt.Sprintf("%s %s %s", use.tool, s.screen.paint(dim, "→"), oneLine(answer)))
		s.reached = append(s.reached, srv.Name)
	}
	if s.person == "alice" && (len(s.reached) != 2 || len(s.refused) != 1) {
		return fmt.Errorf("reached %v and was refused by %v", s.reached, s.refused)
	}
	return nil
}

func (s *story) status(ctx context.Context) error {
	s.screen.prose("Nobody is asked for this. A failure is remembered, because MCP clients often hide what a helper says.")
	r := s.shell.run(ctx, secret.Text{}, "status")
	s.screen.output(r.stdout)
	if r.code != 0 {
		return fmt.Errorf("mcpauth ended with exit code %d", r.code)
	}
	return nil
}

func (s *story) leave(ctx context.Context) error {
	s.screen.prose("IT takes the account away in one place, at the identity provider. The next token is refused, for every server and every client.")
	s.company.RevokePerson(s.person)
	name := s.company.Servers()[0].Name
	if len(s.reached) > 0 {
		name = s.reached[0]
	}
	r := s.shell.run(ctx, secret.Text{}, "token", name, "--fresh")
	s.screen.output(r.stderr)
	s.witnesses()
	if r.code != 3 {
		return fmt.Errorf("mcpauth ended with exit code %d, want 3 (sign-in needed)", r.code)
	}
	s.screen.bad("no sign-in, no token (exit code 3)")
	return nil
}

func (s *story) signOut(ctx context.Context) error {
	s.screen.prose("What can be revoked is revoked, the rest is forgotten, and it is said which is which.")
	r := s.shell.run(ctx, secret.Text{}, "logout", "--all")
	s.screen.output(r.stderr)
	if r.code != 0 {
		return fmt.Errorf("mcpauth ended with exit code %d", r.code)
	}
	s.witnesses()
	return nil
}

// witnesses shows what the parties saw since the last time.
func (s *story) witnesses() {
	log := s.company.Log()
	for _, e := range log[min(s.told, len(log)):] {
		s.screen.saw(e.Party, e.What, e.Allowed)
	}
	s.told = len(log)
}

func (s *story) summary() {
	s.screen.blank()
	s.screen.line("  %s", s.screen.paint(dim, strings.Repeat("─", width-2)))
	s.screen.blank()
	s.screen.line("     %s · %s · %s · %s", s.screen.paint(bold, "1 sign-in"), s.screen.paint(bold, "0 consent screens"),
		plural(len(s.reached), "server")+" reached", plural(len(s.refused), "server")+" refused by policy")
	s.screen.blank()
	s.screen.prose("Keep the company running and point a real client at it: go run ./cmd/mcpauth-demo --serve")
	s.screen.blank()
}

func withoutHints(text string) string {
	var kept []string
	for _, l := range strings.Split(text, "\n") {
		if !strings.HasPrefix(l, "hint:") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 52 {
		return string(r[:51]) + "…"
	}
	return text
}
