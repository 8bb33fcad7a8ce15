package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scenarios that are not about tokens are run through the bridge: go-sdk speaks
// stdio to "mcpauth bridge", which speaks HTTP to the suite. With
// MCPAUTH_CONFORMANCE_DIRECT set go-sdk speaks HTTP itself, to compare: what passes
// so must pass through the bridge.

// bridged makes the steps of a scenario from what is done in its session.
func bridged(steps func(context.Context, *mcp.ClientSession) error) func(context.Context, binary, registration, string) error {
	return func(ctx context.Context, mcpauth binary, _ registration, server string) error {
		client := mcp.NewClient(&mcp.Implementation{Name: "mcpauth-conformance", Version: "1"}, &mcp.ClientOptions{
			ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return &mcp.ElicitResult{Action: "accept", Content: map[string]any{}}, nil
			},
		})
		session, err := client.Connect(ctx, mcpauth.way(server), nil)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", server, err)
		}
		defer session.Close()
		return steps(ctx, session)
	}
}

// way is how a client comes to the server.
func (b binary) way(server string) mcp.Transport {
	if os.Getenv("MCPAUTH_CONFORMANCE_DIRECT") != "" {
		return &mcp.StreamableClientTransport{Endpoint: server, HTTPClient: http.DefaultClient}
	}
	cmd := exec.Command(b.path, "bridge", "--no-auth", server)
	cmd.Env = []string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = os.Stderr
	return &mcp.CommandTransport{Command: cmd}
}

// connected is done when the session is there.
func connected(context.Context, *mcp.ClientSession) error { return nil }

func listTools(ctx context.Context, s *mcp.ClientSession) error {
	_, err := s.ListTools(ctx, nil)
	return err
}

// callTools calls every tool that is listed. The suite has tools that must fail.
func callTools(ctx context.Context, s *mcp.ClientSession) error {
	list, err := s.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	for _, tool := range list.Tools {
		arguments := map[string]any{}
		switch tool.Name {
		case "add_numbers":
			arguments = map[string]any{"a": 5, "b": 3}
		case "json_schema_echo":
			focal := slices.IndexFunc(list.Tools, func(t *mcp.Tool) bool { return t.Name == "json_schema_2020_12_tool" })
			if focal < 0 {
				return fmt.Errorf("call tool %q: there is no schema to echo", tool.Name)
			}
			arguments = map[string]any{"schema": list.Tools[focal].InputSchema}
		}
		if _, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool.Name, Arguments: arguments}); err != nil {
			fmt.Fprintf(os.Stderr, "call tool %q: %v\n", tool.Name, err)
		}
	}
	return nil
}

// useEverything uses the first of each kind of thing that a server has.
func useEverything(ctx context.Context, s *mcp.ClientSession) error {
	if err := callTools(ctx, s); err != nil {
		return err
	}
	if list, err := s.ListResources(ctx, nil); err == nil && len(list.Resources) > 0 {
		if _, err := s.ReadResource(ctx, &mcp.ReadResourceParams{URI: list.Resources[0].URI}); err != nil {
			return err
		}
	}
	if list, err := s.ListPrompts(ctx, nil); err == nil && len(list.Prompts) > 0 {
		if _, err := s.GetPrompt(ctx, &mcp.GetPromptParams{Name: list.Prompts[0].Name}); err != nil {
			return err
		}
	}
	return nil
}

// callGiven makes the calls that the suite hands over.
func callGiven(ctx context.Context, s *mcp.ClientSession) error {
	var given struct {
		Calls []struct {
			Name      string         `json:"name"`
			Arguments map[string]any `json:"arguments"`
		} `json:"toolCalls"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("MCP_CONFORMANCE_CONTEXT")), &given); err != nil {
		return fmt.Errorf("read MCP_CONFORMANCE_CONTEXT: %w", err)
	}
	if err := listTools(ctx, s); err != nil {
		return err
	}
	for _, call := range given.Calls {
		if _, err := s.CallTool(ctx, &mcp.CallToolParams{Name: call.Name, Arguments: call.Arguments}); err != nil {
			fmt.Fprintf(os.Stderr, "call tool %q: %v\n", call.Name, err)
		}
	}
	return nil
}
