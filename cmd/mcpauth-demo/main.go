// Command mcpauth-demo shows what mcpauth does, against a practice company that it
// starts on this computer: one sign-in, two MCP servers reached without another
// question, a third one refused by policy, one of another company that asks for
// consent, and access taken back.
//
// The commands that it shows are the ones it runs, with the code of mcpauth
// itself. It lives in a folder of its own that is deleted in the end, and touches
// neither the configuration nor the keychain of whoever runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/term"

	"github.com/mcpauth/mcpauth/internal/company"
)

type options struct {
	auto  bool
	serve bool
	port  int
}

func main() {
	var o options
	flag.BoolVar(&o.auto, "auto", !hasBrowser(os.Getenv), "sign Alice in without a browser (the default where there is none)")
	flag.BoolVar(&o.serve, "serve", false, "keep the company running and print the configuration for real clients")
	flag.IntVar(&o.port, "port", 0, "the first of eight ports to use (default: any that are free)")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: mcpauth-demo [--auto] [--serve] [--port N]\n\nShow what mcpauth does, against a practice company on this computer.\n\nFlags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, o); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(os.Stderr, "mcpauth-demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	c, err := company.Start(ctx, company.Options{BasePort: o.port, ByDocument: true})
	if err != nil {
		return err
	}
	defer c.Close()
	home, err := os.MkdirTemp("", "mcpauth-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	s := &screen{w: os.Stdout, color: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && hasColors(os.Stdout)}
	shell := &shell{home: home, company: c, auto: o.auto, screen: s}
	if o.serve {
		return serve(ctx, c, shell)
	}
	return (&story{company: c, shell: shell, screen: s, auto: o.auto}).tell(ctx)
}

// hasBrowser guesses whether a person is here with a browser.
func hasBrowser(getenv func(string) string) bool {
	switch {
	case getenv("CI") != "" || !term.IsTerminal(int(os.Stdout.Fd())):
		return false
	case getenv("BROWSER") != "" || runtime.GOOS == "darwin" || runtime.GOOS == "windows":
		return true
	}
	return getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}
