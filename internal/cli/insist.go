package cli

import (
	"context"

	"github.com/mcpauth/mcpauth/internal/pace"
)

// insisting is for what a person types: it asks again though others hold off from a
// party that is out of order. Programs that run for others, and helpers, do not.
func (a *app) insisting(ctx context.Context) context.Context {
	if a.env.Terminal {
		return pace.Insist(ctx)
	}
	return ctx
}
