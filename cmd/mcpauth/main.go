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
	ctx, cancel := context.WithCancel(context.Background())
	env := cli.OS()
	env.CatchSignals = func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		go func() {
			<-signals
			signal.Stop(signals) // a second one ends the program at once
			cancel()
		}()
	}
	os.Exit(cli.Main(ctx, env))
}
