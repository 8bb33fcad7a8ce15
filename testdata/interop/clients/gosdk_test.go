package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"
)

// gosdk is a program that uses the official Go SDK, and stays connected.
func gosdk(t *testing.T, o *office, v visit) report {
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: o.wiki.URL, OAuthHandler: &helper{office: o, t: t}}
	if v.form == bridge {
		cmd := exec.Command(filepath.Join(o.bin, "mcpauth"), "bridge", "wiki")
		cmd.Dir, cmd.Env = o.home, o.env()
		transport = &mcp.CommandTransport{Command: cmd}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1.8.0"}, nil)
	session, err := client.Connect(t.Context(), transport, nil)
	if err != nil {
		return report{said: err.Error(), answers: []string{"error: " + err.Error()}}
	}
	defer session.Close()
	var r report
	list, err := session.ListTools(t.Context(), nil)
	if err == nil {
		for _, one := range list.Tools {
			r.listed = r.listed || one.Name == tool
		}
	}
	r.answers = v.converse(func() (string, error) {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: searchArguments()})
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(result.Content)
		return string(text), err
	})
	r.said = strings.Join(r.answers, "\n")
	return r
}

// helper takes the header from mcpauth, and asks for a fresh one when the server
// did not accept the last.
type helper struct {
	office *office
	t      *testing.T
	stale  atomic.Bool
}

var _ auth.OAuthHandler = (*helper)(nil)

func (h *helper) TokenSource(context.Context) (oauth2.TokenSource, error) { return h, nil }

func (h *helper) Token() (*oauth2.Token, error) {
	args := []string{"headers", "wiki"}
	if h.stale.Swap(false) {
		args = append(args, "--fresh")
	}
	r := h.office.mcpauth(h.t, args...)
	if r.code != 0 {
		return nil, r.err()
	}
	var header map[string]string
	if err := json.Unmarshal([]byte(r.stdout), &header); err != nil {
		return nil, fmt.Errorf("mcpauth headers: %w", err)
	}
	token, _ := strings.CutPrefix(header["Authorization"], "Bearer ")
	return &oauth2.Token{AccessToken: token}, nil
}

// Authorize runs after a 401.
func (h *helper) Authorize(_ context.Context, _ *http.Request, resp *http.Response) error {
	resp.Body.Close()
	h.stale.Store(true)
	return nil
}
