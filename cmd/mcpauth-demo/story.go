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
	agreed  []string
}

func (s *story) tell(ctx context.Context) error {
	s.screen.title("mcpauth", "one sign-in for every MCP server your company allows")
	s.screen.prose("Acme is a practice company, running on this computer: an identity provider, two authorization servers and three MCP servers. " +
		"Its policy lets engineering use the wiki and the tickets, and keeps payroll to finance. Alice is an engineer.")
	if err := rollOut(s.shell.home, clientConfig); err != nil {
		return err
	}
	for i, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Sign in, once", s.signIn},
		{"Say who mcpauth is, with no secret", s.introduce},
		{"Name the servers", s.nameServers},
		{"Use them, with no further question", s.useServers},
		{"A server of another company asks, once", s.consent},
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
	if err := s.must(ctx, "login", "--issuer", s.company.IdP.Issuer, "--client-id", client.ClientID,
		"--client-secret-file", "~/idp-secret", "--store", "file", "--store-key-file", "~/store.key"); err != nil {
		return err
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

// must runs a command that has to succeed.
func (s *story) must(ctx context.Context, args ...string) error {
	r := s.shell.run(ctx, secret.Text{}, args...)
	s.screen.output(withoutHints(r.stderr))
	return ended(r.code)
}

// ended is the error of a command that did not end as the story has it.
func ended(code int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("mcpauth ended with exit code %d", code)
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
	s.screen.prose("Each server says itself who issues its tokens. mcpauth shows that and pins it. " +
		"The wiki has registered mcpauth in the old way, with a secret; the others read the document.")
	for i, srv := range s.company.Servers() {
		args := []string{"server", "add", srv.Name, srv.URL}
		if srv.Client.ClientID != company.DocumentURL {
			args = append(args, "--client-id", srv.Client.ClientID, "--client-secret-stdin")
		}
		r := s.shell.run(ctx, srv.Client.Secret, args...)
		if i == 0 || r.code != 0 {
			s.screen.output(withoutHints(r.stderr))
		} else {
			s.screen.output(firstLine(r.stderr)) // the rest reads as for the first
		}
		if r.code != 0 {
			return ended(r.code)
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
	"tracker": {"list_parcels", nil},
}

func (s *story) useServers(ctx context.Context) error {
	s.screen.prose("mcpauth trades the sign-in for an ID-JAG, a grant for one server that the identity provider signs or refuses, " +
		"and the grant for an access token. No browser, no consent screen.")
	for _, srv := range s.company.Servers() {
		code, err := s.use(ctx, srv.Name)
		switch {
		case err != nil:
			return err
		case code == 4:
			s.screen.bad("refused by company policy (exit code 4)")
			s.refused = append(s.refused, srv.Name)
		case code != 0:
			return ended(code)
		default:
			s.reached = append(s.reached, srv.Name)
		}
	}
	if s.person == "alice" && (len(s.reached) != 2 || len(s.refused) != 1) {
		return fmt.Errorf("reached %v and was refused by %v", s.reached, s.refused)
	}
	return nil
}

// use gets a token for a server and calls a tool with it. It returns the exit code
// when there is no token.
func (s *story) use(ctx context.Context, server string, flags ...string) (code int, err error) {
	r := s.shell.run(ctx, secret.Text{}, append([]string{"token", server}, flags...)...)
	if r.code != 0 {
		s.screen.output(r.stderr)
		s.witnesses()
		return r.code, nil
	}
	token := secret.New(strings.TrimSpace(r.stdout))
	s.screen.output(fmt.Sprintf("%s (an access token of %d characters, not shown)", s.screen.paint(dim, "••••••••"), len(token.Reveal())))
	use := uses[server]
	answer, err := s.company.CallTool(ctx, server, token, use.tool, use.args)
	if err != nil {
		return 0, fmt.Errorf("call %s: %w", use.tool, err)
	}
	s.witnesses()
	s.screen.good(fmt.Sprintf("%s %s %s", use.tool, s.screen.paint(dim, "→"), oneLine(answer)))
	return 0, nil
}

// mustUse is use where the story has it that there is a token.
func (s *story) mustUse(ctx context.Context, server string, flags ...string) error {
	code, err := s.use(ctx, server, flags...)
	if err != nil {
		return err
	}
	return ended(code)
}

func (s *story) status(ctx context.Context) error {
	s.screen.prose("Nobody is asked for this. A failure is remembered, because MCP clients often hide what a helper says.")
	r := s.shell.run(ctx, secret.Text{}, "status")
	s.screen.table(r.stdout)
	return ended(r.code)
}

func (s *story) leave(ctx context.Context) error {
	s.screen.prose("IT takes the account away in one place, at the identity provider. The next token is refused, for every managed server and every client.")
	s.company.RevokePerson(s.person)
	name := s.company.Servers()[0].Name
	if len(s.reached) > 0 {
		name = s.reached[0]
	}
	code, err := s.use(ctx, name, "--fresh")
	if err != nil {
		return err
	}
	if code != 3 {
		return fmt.Errorf("mcpauth ended with exit code %d, want 3 (sign-in needed)", code)
	}
	s.screen.bad("no sign-in, no token (exit code 3)")
	if len(s.agreed) == 0 {
		return nil
	}
	s.screen.blank()
	s.screen.prose("A consent is per server, and out of the administrator's reach. What was agreed to at Globex lives on:")
	return s.mustUse(ctx, s.agreed[0], "--fresh")
}

func (s *story) signOut(ctx context.Context) error {
	s.screen.prose("What can be revoked is revoked, the rest is forgotten, and it is said which is which.")
	if err := s.must(ctx, "logout", "--all"); err != nil {
		return err
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
	s.screen.line(margin+"%s, %s, %s reached, %d refused by policy", s.screen.paint(bold, "Acme: 1 sign-in"),
		s.screen.paint(bold, "0 consents"), plural(len(s.reached), "server"), len(s.refused))
	s.screen.line(margin+"%s, %s reached", s.screen.paint(bold, "Globex: "+plural(len(s.agreed), "consent")), plural(len(s.agreed), "server"))
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

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 52 {
		return string(r[:51]) + "…"
	}
	return text
}
