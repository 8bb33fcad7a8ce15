package consent

import (
	"context"
	"errors"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

var errPending = errors.New("not written yet")

func (k *Keeper) Client(ctx context.Context, t Target) (c clientauth.Client, how string, err error) {
	return c, "", errPending
}

func (k *Keeper) Ask(ctx context.Context, t Target, open func(ctx context.Context, address string) error) (endpoint.Token, error) {
	return endpoint.Token{}, errPending
}

func (k *Keeper) Renew(ctx context.Context, t Target, need []string) (endpoint.Token, error) {
	return endpoint.Token{}, errPending
}

func (k *Keeper) Settle(ctx context.Context) {}

func (k *Keeper) Revoke(ctx context.Context, t Target) error { return errPending }

func (k *Keeper) Forget(ctx context.Context, serverURL string) error { return errPending }
