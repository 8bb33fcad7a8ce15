package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scenarios of the standard flow. What a person does is what these steps type:
// name the server, agree once, and use it through the bridge.

// agreed adds a server with mode oauth and these flags, agrees, and uses it.
func agreed(flags ...string) func(context.Context, binary, registration, string) error {
	return func(ctx context.Context, mcpauth binary, _ registration, server string) error {
		if err := mcpauth.add(ctx, server, append([]string{"--mode", "oauth"}, flags...)...); err != nil {
			return err
		}
		if err := mcpauth.agree(ctx); err != nil {
			return err
		}
		return mcpauth.use(ctx)
	}
}

// declined is for authorization servers that must not be believed: the person tries
// to agree, and mcpauth stops.
func declined(ctx context.Context, mcpauth binary, _ registration, server string) error {
	if err := mcpauth.add(ctx, server, "--mode", "oauth"); err != nil {
		return err
	}
	return mcpauth.agree(ctx)
}

// registered has its client from the owner of the server.
func registered(ctx context.Context, mcpauth binary, reg registration, server string) error {
	secret, err := mcpauth.file("client-secret", reg.ClientSecret)
	if err != nil {
		return err
	}
	return agreed("--client-id", reg.ClientID, "--client-secret-file", secret)(ctx, mcpauth, reg, server)
}

// moved is for a server that changes its authorization server while it is used.
// mcpauth stops, the person has heard of the change and accepts it, and goes on.
func moved(ctx context.Context, mcpauth binary, reg registration, server string) error {
	if err := agreed()(ctx, mcpauth, reg, server); err == nil {
		return fmt.Errorf("use %s: the change went unnoticed", server)
	}
	if _, err := mcpauth.run(ctx, "", "server", "trust", "conf", "--yes"); err != nil {
		return err
	}
	if err := mcpauth.agree(ctx); err != nil {
		return err
	}
	return mcpauth.use(ctx)
}

// ofItself is for clients that ask in their own name.
func ofItself(file, flag string, text func(registration) string, flags ...string) func(context.Context, binary, registration, string) error {
	return func(ctx context.Context, mcpauth binary, reg registration, server string) error {
		path, err := mcpauth.file(file, text(reg))
		if err != nil {
			return err
		}
		if err := mcpauth.add(ctx, server, append(flags, "--client-id", reg.ClientID, flag, path)...); err != nil {
			return err
		}
		return mcpauth.use(ctx)
	}
}

// file writes something that only the person may read.
func (b binary) file(name, text string) (string, error) {
	path := filepath.Join(b.home, name)
	return path, os.WriteFile(path, []byte(text+"\n"), 0o600)
}

func (b binary) add(ctx context.Context, server string, flags ...string) error {
	config := filepath.Join(b.home, ".config", "mcpauth", "config.json")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		return err
	}
	// The machine that runs the suite has no keychain.
	store, err := json.Marshal(map[string]any{"store": map[string]string{"kind": "file", "passphraseFile": filepath.Join(b.home, "passphrase")}})
	if err != nil {
		return err
	}
	if _, err := b.file("passphrase", "correct horse battery staple"); err != nil {
		return err
	}
	if err := os.WriteFile(config, store, 0o600); err != nil {
		return err
	}
	_, err = b.run(ctx, "", append([]string{"server", "add", "conf", server}, flags...)...)
	return err
}

func (b binary) agree(ctx context.Context) error {
	_, err := b.run(ctx, "", "login", "conf")
	return err
}

// use connects through the bridge, which may ask the person for more on the way.
func (b binary) use(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.path, "bridge", "--interactive", "conf")
	cmd.Env, cmd.Stderr = b.environment(), os.Stderr
	client := mcp.NewClient(&mcp.Implementation{Name: "mcpauth-conformance", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		return fmt.Errorf("connect through the bridge: %w", err)
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	for _, tool := range list.Tools {
		if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool.Name, Arguments: map[string]any{}}); err != nil {
			return fmt.Errorf("call tool %q: %w", tool.Name, err)
		}
	}
	return nil
}

// browse is the person's browser, which agrees to everything: the suite's pages
// are redirects.
func browse(address string) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (b binary) environment() []string {
	self, err := os.Executable()
	if err != nil || strings.Contains(self, " ") {
		self = "false" // which fails as a browser
	}
	return []string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH"), "BROWSER=" + self + " browse"}
}
