package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// serve keeps the company up for real clients, with everything configured but the
// sign-in.
func serve(ctx context.Context, c *company.Company, sh *shell) error {
	s := sh.screen
	s.title("Acme", "a practice company for real MCP clients, until you press Ctrl-C")
	if err := prepare(ctx, c, sh); err != nil {
		return err
	}
	s.line(margin+"%-22s %s", "identity provider", c.IdP.Issuer)
	for _, srv := range everyServer(c) {
		s.line(margin+"%-22s %s", srv.Name, srv.URL)
	}
	s.chapter(1, "Sign in, as Alice (engineering) or Bob (finance)")
	s.line(margin+"%s", typed(sh.home, "login"))
	s.line(margin+"%s", typed(sh.home, "login tracker"))
	s.line(margin + s.paint(dim, "the second for the tracker alone: it is another company's, and asks you"))
	s.chapter(2, "Try a token")
	s.line(margin+"%s", typed(sh.home, "token wiki"))
	s.chapter(3, "Claude Code, in .mcp.json")
	s.verbatim(snippet(c, sh.home))
	s.chapter(4, "Codex, in ~/.codex/config.toml")
	for _, srv := range everyServer(c) {
		s.verbatim(fmt.Sprintf("[mcp_servers.%s]\nurl = %q\nhttp_headers_helper = %q", srv.Name, srv.URL, helper(sh.home, srv.Name)))
	}
	s.blank()
	s.prose("The home folder above is deleted in the end. Your own configuration and keychain are not touched.")
	s.blank()
	<-ctx.Done()
	return nil
}

// prepare writes the configuration that login and server add would have written.
func prepare(ctx context.Context, c *company.Company, sh *shell) error {
	quiet := *sh
	quiet.auto = true
	quiet.screen = &screen{w: discard{}}
	told := &story{company: c, shell: &quiet, screen: quiet.screen, auto: true}
	if err := rollOut(sh.home, clientConfig); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{told.signIn, told.introduce, told.nameServers, told.nameTracker} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if r := quiet.run(ctx, secret.Text{}, "logout"); r.code != 0 {
		return fmt.Errorf("mcpauth logout ended with exit code %d", r.code)
	}
	return nil
}

// everyServer is those of Acme, and the one of Globex.
func everyServer(c *company.Company) []company.Server {
	srv, _ := c.Server(tracker)
	return append(c.Servers(), srv)
}

// typed is a command for the system's shell, with that home folder.
func typed(home, command string) string {
	if runtime.GOOS == "windows" { // where a blank before && would be part of the name
		return "set USERPROFILE=" + home + "&& mcpauth " + command
	}
	return "HOME=" + home + " mcpauth " + command
}

func helper(home, server string) string { return typed(home, "headers "+server) }

func snippet(c *company.Company, home string) string {
	text := "{ \"mcpServers\": {\n"
	servers := everyServer(c)
	for i, srv := range servers {
		comma := ","
		if i == len(servers)-1 {
			comma = ""
		}
		text += fmt.Sprintf("    %q: { \"type\": \"http\", \"url\": %q,\n      \"headers\": { \"Authorization\": \"Bearer run-mcpauth-login\" },\n      \"headersHelper\": %q }%s\n",
			srv.Name, srv.URL, helper(home, srv.Name), comma)
	}
	return text + "} }"
}
