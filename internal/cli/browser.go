package cli

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os/exec"
	"strings"

	"github.com/pkg/browser"
)

// Browser opens the person's browser: the program that BROWSER names, else the
// system's default. No shell sees the address, and nothing that the browser
// prints reaches standard output (attack S14).
func Browser(getenv func(string) string) func(context.Context, string) error {
	return func(_ context.Context, address string) error {
		u, err := url.Parse(address)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
			return errors.New("not a web address")
		}
		if argv := strings.Fields(getenv("BROWSER")); len(argv) > 0 {
			// Not bound to the context: the browser outlives the sign-in.
			cmd := exec.Command(argv[0], append(argv[1:], u.String())...)
			if err := cmd.Start(); err != nil {
				return err
			}
			go func() { _ = cmd.Wait() }() // what becomes of the browser is the person's affair
			return nil
		}
		browser.Stdout, browser.Stderr = io.Discard, io.Discard
		return browser.OpenURL(u.String())
	}
}
