package clients

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// remote runs mcp-remote's own test client with a header from mcpauth.
func remote(t *testing.T, o *office, _ visit) report {
	header := o.must(t, "headers", "wiki", "--format", "header")
	said := listWithRemote(t, o, "--header", header)
	return report{listed: strings.Contains(said, tool), said: said}
}

// listWithRemote runs a client that connects and lists the tools. It would then
// wait for ever, and so it would for a person at a consent screen.
func listWithRemote(t *testing.T, o *office, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm("mcp-remote-client"), append([]string{o.wiki.URL}, args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = o.home, o.env(), time.Second
	if _, err := cmd.StdinPipe(); err != nil { // it ends at the end of its standard input
		t.Fatal(err)
	}
	said := &until{texts: []string{tool, "Waiting for authorization"}, then: cancel}
	cmd.Stdout, cmd.Stderr = said, said // one writer for both is called from one goroutine
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		t.Errorf("mcp-remote-client: %v", err)
	}
	return said.String()
}

// until keeps what is written, and does something once one of the texts was.
type until struct {
	bytes.Buffer
	texts []string
	then  func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	for _, text := range u.texts {
		if strings.Contains(u.String(), text) {
			u.then()
		}
	}
	return n, err
}
