package idjagtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// KeySource gives the keys that an authorization server verifies ID-JAGs with.
type KeySource func(ctx context.Context) ([]byte, error)

// FetchKeys is a KeySource that reads a JWK set over HTTP at every use. A nil
// client means http.DefaultClient.
func FetchKeys(client *http.Client, url string) KeySource {
	if client == nil {
		client = http.DefaultClient
	}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("fetch keys: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("fetch keys: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, errors.New("fetch keys: " + resp.Status)
		}
		return io.ReadAll(io.LimitReader(resp.Body, maxBody))
	}
}
