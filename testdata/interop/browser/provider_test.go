package browser_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// provider is oidc-provider twice, in one Node process: as identity provider
// and as the authorization server of the MCP server.
type provider struct {
	*program

	IdP struct{ Issuer, ClientID, ClientSecret string }
	AS  struct{ Issuer, JWKS, ClientID, ClientKey string }
}

func startProvider(t *testing.T, resource string) *provider {
	t.Helper()
	var p provider
	p.program = startProgram(t, &p, nil, "server.mjs", resource)
	return &p
}

// program is one Node process that tells what happens in it, line by line.
type program struct {
	stdin io.Writer
	lines *bufio.Scanner
}

// event is one thing that happened there; the empty members are left out.
type event struct {
	Party, Granted, Exchanged, With, Redeemed, Refused, Why, Revoked, Failed string
	Registered, Fetched, Resource                                            string

	Settings json.RawMessage
}

// settings are what a test may change while the provider runs.
type settings struct {
	IDTokenSeconds int      `json:"idTokenSeconds,omitempty"`
	JWT            bool     `json:"jwt,omitempty"`
	Allowed        []string `json:"allowed,omitzero"`
}

// startProgram runs a script from the folder that OIDC_PROVIDER names, where
// the run script has installed what it imports, and reads into hello what it
// says first.
func startProgram(t *testing.T, hello any, env []string, script string, args ...string) *program {
	t.Helper()
	folder := os.Getenv("OIDC_PROVIDER")
	if folder == "" {
		t.Fatal("OIDC_PROVIDER names no folder: start these tests with testdata/interop/run")
	}
	cmd := exec.Command("node", append([]string{filepath.Join(folder, script)}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start oidc-provider: %v", err)
	}
	p := &program{stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that happened at the provider: %+v", p.happened(t))
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("oidc-provider ended badly: %v", err)
		}
	})
	if !p.lines.Scan() {
		t.Fatalf("oidc-provider said nothing: %v", p.lines.Err())
	}
	if err := json.Unmarshal(p.lines.Bytes(), hello); err != nil {
		t.Fatalf("oidc-provider did not say what it serves: %v", err)
	}
	return p
}

// set changes settings and returns what happened since the last call. The
// provider answers on the same stream on which it tells, so nothing that was
// finished before the call can be missing.
func (p *program) set(t *testing.T, s settings) []event {
	t.Helper()
	if err := json.NewEncoder(p.stdin).Encode(s); err != nil {
		t.Fatal(err)
	}
	var events []event
	for p.lines.Scan() {
		var e event
		if err := json.Unmarshal(p.lines.Bytes(), &e); err != nil {
			t.Fatalf("oidc-provider printed something else than an event: %v", err)
		}
		if e.Settings != nil {
			return events
		}
		if e.Failed != "" {
			t.Errorf("%s failed: %s", e.Party, e.Failed)
		}
		events = append(events, e)
	}
	t.Fatalf("oidc-provider stopped talking: %v", p.lines.Err())
	return nil
}

// happened returns what happened since the last call.
func (p *program) happened(t *testing.T) []event {
	t.Helper()
	return p.set(t, settings{})
}
