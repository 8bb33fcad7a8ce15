// Command mcpauth gives every MCP client on a computer an access token for every
// MCP server that the company allows, from one sign-in. See package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mcpauth/mcpauth/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.OS()))
}
