// Command client is the program that the public MCP conformance suite judges.
//
// It holds no protocol of its own. Every step up to the access token is a call
// of the real mcpauth binary, in a home folder that lives as long as the
// process; only the MCP conversation that follows is go-sdk. The suite hands
// over the server's URL as the last argument and the rest in the environment.
//
//	MCPAUTH_BIN              the binary under test
//	MCP_CONFORMANCE_SCENARIO which scenario asks
//	MCP_CONFORMANCE_CONTEXT  what was registered beforehand, as JSON
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// registration is what an administrator would have set up before the run.
type registration struct {
	ClientID         string `json:"client_id"`
	ClientSecret     string `json:"client_secret"`
	IdPClientID      string `json:"idp_client_id"`
	IDToken          string `json:"idp_id_token"`
	IdPIssuer        string `json:"idp_issuer"`
	IdPTokenEndpoint string `json:"idp_token_endpoint"`
	PrivateKey       string `json:"private_key_pem"`
	PlatformToken    string `json:"valid_jwt"`
}

// scenarios maps a scenario's name to the person's steps in it. A new scenario
// is one line here and one in expected.json.
func scenarios() map[string]func(context.Context, binary, registration, string) error {
	return map[string]func(context.Context, binary, registration, string) error{
		"auth/enterprise-managed-authorization": managed,
		"auth/resource-mismatch":                refused,
		"auth/metadata-issuer-mismatch":         refused,

		"auth/metadata-default":                     agreed(),
		"auth/metadata-var1":                        agreed(),
		"auth/metadata-var2":                        agreed(),
		"auth/metadata-var3":                        agreed(),
		"auth/basic-cimd":                           agreed("--client-id", "https://conformance-test.local/client-metadata.json"),
		"auth/scope-from-www-authenticate":          agreed(),
		"auth/scope-from-scopes-supported":          agreed(),
		"auth/scope-omitted-when-undefined":         agreed(),
		"auth/scope-step-up":                        agreed(),
		"auth/scope-retry-limit":                    agreed(),
		"auth/token-endpoint-auth-basic":            agreed(),
		"auth/token-endpoint-auth-post":             agreed(),
		"auth/token-endpoint-auth-none":             agreed(),
		"auth/pre-registration":                     registered,
		"auth/2025-03-26-oauth-metadata-backcompat": agreed("--legacy-discovery"),
		"auth/2025-03-26-oauth-endpoint-fallback":   agreed("--legacy-discovery"),
		"auth/offline-access-scope":                 agreed(),
		"auth/offline-access-not-supported":         agreed(),
		"auth/authorization-server-migration":       moved,
		"auth/iss-supported":                        agreed(),
		"auth/iss-not-advertised":                   agreed(),
		"auth/iss-supported-missing":                declined,
		"auth/iss-wrong-issuer":                     declined,
		"auth/iss-unexpected":                       declined,
		"auth/iss-normalized":                       declined,
		"auth/dpop":                                 agreed(),
		"auth/dpop-nonce":                           agreed(),
		"auth/client-credentials-basic": ofItself("client-secret", "--client-secret-file",
			func(r registration) string { return r.ClientSecret }, "--mode", "client_credentials"),
		"auth/client-credentials-jwt": ofItself("key.pem", "--client-key-file",
			func(r registration) string { return r.PrivateKey }, "--mode", "client_credentials"),
		"auth/wif-jwt-bearer": ofItself("platform-token", "--workload-token-file",
			func(r registration) string { return r.PlatformToken }, "--mode", "workload"),

		"initialize":                          bridged(listTools),
		"tools_call":                          bridged(callTools),
		"elicitation-sep1034-client-defaults": bridged(callTools),
		"sse-retry":                           bridged(callTools),
		"request-metadata":                    bridged(connected),
		"sep-2322-client-request-state":       bridged(callTools),
		"http-standard-headers":               bridged(useEverything),
		"http-custom-headers":                 bridged(callGiven),
		"http-invalid-tool-headers":           bridged(callTools),
		"json-schema-ref-no-deref":            bridged(listTools),
		"json-schema-2020-12-preservation":    bridged(callTools),
	}
}

func main() {
	if err := run(os.Args, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "conformance client:", err)
		os.Exit(1)
	}
}

func run(args []string, getenv func(string) string) error {
	if len(args) == 3 && args[1] == "browse" {
		return browse(args[2])
	}
	if len(args) < 2 {
		return errors.New("read arguments: the server's URL is missing")
	}
	scenario := getenv("MCP_CONFORMANCE_SCENARIO")
	steps, ok := scenarios()[scenario]
	if !ok {
		return fmt.Errorf("choose steps: nothing is written for scenario %q", scenario)
	}
	var reg registration
	// Some scenarios have nothing to hand out.
	given := cmp.Or(getenv("MCP_CONFORMANCE_CONTEXT"), "{}")
	if err := json.Unmarshal([]byte(given), &reg); err != nil {
		return fmt.Errorf("read MCP_CONFORMANCE_CONTEXT: %w", err)
	}
	home, err := os.MkdirTemp("", "mcpauth-conformance-")
	if err != nil {
		return fmt.Errorf("make a home folder: %w", err)
	}
	defer os.RemoveAll(home)
	// Shorter than the suite's own 30 s, so that the failing step is named.
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	return steps(ctx, binary{path: getenv("MCPAUTH_BIN"), home: home}, reg, args[len(args)-1])
}

// managed signs in with the ID token that the suite hands over, names the
// server, asks for an access token and uses it.
func managed(ctx context.Context, mcpauth binary, reg registration, server string) error {
	secretFile := filepath.Join(mcpauth.home, "client-secret")
	if err := os.WriteFile(secretFile, []byte(reg.ClientSecret+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the client secret: %w", err)
	}
	// The suite's identity provider publishes no keys, so nobody could verify
	// this ID token; mcpauth takes it only with the flag that says so.
	if _, err := mcpauth.run(ctx, reg.IDToken, "login", "--issuer", reg.IdPIssuer, "--client-id", reg.IdPClientID,
		"--store", "file", "--store-key-file", filepath.Join(mcpauth.home, "key"),
		"--id-token-stdin", "--insecure-skip-id-token-verification"); err != nil {
		return err
	}
	if _, err := mcpauth.run(ctx, "", "server", "add", "conf", server,
		"--client-id", reg.ClientID, "--client-secret-file", secretFile); err != nil {
		return err
	}
	token, err := mcpauth.run(ctx, "", "token", "conf")
	if err != nil {
		return err
	}
	return talk(ctx, server, strings.TrimSuffix(token, "\n"))
}

// refused names a server that lies about itself. mcpauth must see that while the
// server is being added, and go no further: the identity provider, which is not
// there, is never needed.
func refused(ctx context.Context, mcpauth binary, _ registration, server string) error {
	folder := filepath.Join(mcpauth.home, ".config", "mcpauth")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	config := `{"enterpriseManagedAuth": {"idp": {"issuer": "https://idp.example", "clientId": "anybody"}}}`
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
		return err
	}
	_, err := mcpauth.run(ctx, "", "server", "add", "conf", server, "--client-id", "anybody")
	return err
}

// binary is the mcpauth under test and the only home folder it may see.
type binary struct{ path, home string }

// run gives stdin to one mcpauth command and returns its stdout. The
// environment is empty but for HOME and PATH: that is all that some MCP clients
// leave to a helper.
func (b binary) run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Env = b.environment()
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, os.Stderr)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("mcpauth %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// talk spends the token: it opens an MCP session, lists the tools, and calls
// the first one.
func talk(ctx context.Context, server, token string) error {
	client := mcp.NewClient(&mcp.Implementation{Name: "mcpauth-conformance", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: server,
		HTTPClient: &http.Client{
			Transport: bearer{token: token},
		},
	}, nil)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", server, err)
	}
	defer session.Close()
	tools, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	if len(tools.Tools) == 0 {
		return nil
	}
	name := tools.Tools[0].Name
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: map[string]any{}}); err != nil {
		return fmt.Errorf("call tool %q: %w", name, err)
	}
	return nil
}

// bearer adds the access token to every request (MCP 2026-07-28, token
// requirements). Redirects are not an issue: the suite sends none here.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}
