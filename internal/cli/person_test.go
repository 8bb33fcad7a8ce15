package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// Anything but a clear yes is a no, and without a person nobody is asked.
func TestAgree(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "yes\n": true, "YES\n": true, "y": true,
		"": false, "\n": false, "n\n": false, "yess\n": false, "\x1b[Ay\n": false, "no yes\n": false,
	} {
		var asked bytes.Buffer
		a := &app{env: Env{Terminal: true, Stdin: strings.NewReader(answer), Stderr: &asked}}
		if got := a.agree("really?") == nil; got != want {
			t.Errorf("answer %q: agreed %v, want %v", answer, got, want)
		}
		if asked.String() != "mcpauth: really? [y/N] " {
			t.Errorf("asked %q", asked.String())
		}
	}
	a := &app{env: Env{Stdin: strings.NewReader("y\n")}}
	if err := a.agree("really?"); err == nil || explain(err).Exit != exitUsage {
		t.Errorf("without a terminal: %v", err)
	}
}

// An identity provider's metadata names the address that a browser is started
// with: no file, no script and no flag (attack S14).
func TestBrowserOpensWebAddressesOnly(t *testing.T) {
	started := false
	browse := Browser(func(name string) string {
		started = started || name == "BROWSER"
		return "/nonexistent/browser"
	})
	for _, address := range []string{
		"", "file:///etc/passwd", "javascript:alert(1)", "--new-window", "-h", "ftp://x.example", "data:text/html,x",
		"https:", "https://", "http:///path", "x.example", "//x.example", "\nhttps://x.example", "https://x.example/%zz",
	} {
		if err := browse(context.Background(), address); err == nil || started {
			t.Errorf("%q: error %v, started %v", address, err, started)
		}
	}
	if err := browse(context.Background(), "https://x.example/?a=b"); err == nil || !started {
		t.Error("the program of BROWSER was not used")
	}
}

// What is read from standard input is one line, and never repeated in an error.
func TestReadSecret(t *testing.T) {
	for input, want := range map[string]string{
		"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " s3cret ": " s3cret ", "s3cret\n\n": "s3cret", "\ufeffs3cret\r\n": "s3cret",
	} {
		if got, err := readSecret(strings.NewReader(input), "--x"); err != nil || got.Reveal() != want {
			t.Errorf("%q: %q, %v", input, got.Reveal(), err)
		}
	}
	for _, input := range []string{"", "\n", "one-s3cret\ntwo", "s3cret\x00", strings.Repeat("s3cret", maxSecret)} {
		got, err := readSecret(strings.NewReader(input), "--x")
		if err == nil || !got.IsZero() || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%.20q: %v", input, err)
		}
	}
}
