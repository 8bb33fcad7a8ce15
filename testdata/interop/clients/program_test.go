package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// furnish fills the folder that comes first on PATH. What mcpauth is asked, and
// how it ended, goes to a file, because the clients throw it away.
func (o *office) furnish(t *testing.T) {
	t.Helper()
	binary := os.Getenv("MCPAUTH_BIN")
	script := fmt.Sprintf("#!/bin/sh\n"+
		"if [ \"$1\" = bridge ]; then echo \"$*\" >>%[2]q; exec %[1]q \"$@\" 2>>%[3]q; fi\n"+
		"%[1]q \"$@\" 2>%[2]q.$$; code=$?\n"+
		"cat %[2]q.$$ >&2; { echo \"$*: exit $code\"; cat %[2]q.$$; } >>%[2]q; rm %[2]q.$$\nexit $code\n",
		binary, o.helperLog(), o.bridgeLog())
	o.executable(t, "mcpauth", script)
	for _, name := range []string{"xdg-open", "open", "sensible-browser", "x-www-browser", "www-browser", "gio", "wslview",
		"firefox", "chromium", "chromium-browser", "google-chrome"} {
		o.executable(t, name, fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%q\n", name, o.browserLog()))
	}
}

func (o *office) executable(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.bin, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (o *office) helperLog() string  { return filepath.Join(o.bin, "helper.log") }
func (o *office) bridgeLog() string  { return o.helperLog() + ".bridge" }
func (o *office) browserLog() string { return filepath.Join(o.bin, "browser.log") }

// env is what a client is started with. Nothing of the developer's own gets in.
func (o *office) env(more ...string) []string {
	return append([]string{
		"HOME=" + o.home, "USER=alice", "LANG=C.UTF-8", "TERM=dumb", "TMPDIR=" + os.TempDir(),
		"PATH=" + strings.Join([]string{o.bin, filepath.Dir(os.Getenv("NODE")), "/usr/local/bin", "/usr/bin", "/bin"}, ":"),
		"BROWSER=" + filepath.Join(o.bin, "xdg-open"),
		"HTTPS_PROXY=" + o.proxy, "https_proxy=" + o.proxy, "HTTP_PROXY=" + o.proxy, "http_proxy=" + o.proxy,
		"NO_PROXY=127.0.0.1,localhost,::1", "no_proxy=127.0.0.1,localhost,::1",
	}, more...)
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) said() string { return strings.TrimSpace(r.stdout + "\n" + r.stderr) }

// err is what a program that failed said about it.
func (r result) err() error {
	if r.code == 0 {
		return nil
	}
	return errors.New(r.said())
}

// run starts a program in the home folder and waits for its end.
func (o *office) run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	return o.start(t, env, "", name, args...)
}

// feed is run with something on standard input.
func (o *office) feed(t *testing.T, stdin, name string, args ...string) result {
	t.Helper()
	return o.start(t, o.env(), stdin, name, args...)
}

func (o *office) start(t *testing.T, env []string, stdin, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = o.home, env
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s: %v", filepath.Base(name), err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s did not end by itself", filepath.Base(name))
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// setUp has mcpauth write the entry of a client. It writes down the program that PATH
// leads to when that is itself, so it stands there for so long in the place of the
// script that takes notes.
func (o *office) setUp(t *testing.T, id string) {
	t.Helper()
	script := filepath.Join(o.bin, "mcpauth")
	aside := filepath.Join(o.bin, "mcpauth.sh")
	if err := errors.Join(os.Rename(script, aside), os.Symlink(os.Getenv("MCPAUTH_BIN"), script)); err != nil {
		t.Fatal(err)
	}
	o.must(t, "setup", id)
	if err := os.Rename(aside, script); err != nil {
		t.Fatal(err)
	}
}

// mcpauth runs mcpauth as Alice would in a terminal.
func (o *office) mcpauth(t *testing.T, args ...string) result {
	t.Helper()
	return o.run(t, o.env(), filepath.Join(o.bin, "mcpauth"), args...)
}

func (o *office) must(t *testing.T, args ...string) string {
	t.Helper()
	r := o.mcpauth(t, args...)
	if r.code != 0 {
		t.Fatalf("mcpauth %s: exit %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

func (o *office) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(o.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
