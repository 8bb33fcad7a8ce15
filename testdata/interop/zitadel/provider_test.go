package zitadel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// provider is zitadel's example provider, unchanged but for two things: its ID
// tokens live for seconds, so that renewal is due at once, and it remembers
// what became of refresh tokens.
type provider struct {
	Issuer string

	store *watched
}

// watched is the example's storage with a notebook.
type watched struct {
	*storage.Storage

	mu        sync.Mutex
	current   string
	rotations int
	revoked   []string
}

// idTokenLifetime is far below any margin for early renewal.
const idTokenLifetime = 2 * time.Second

// startProvider serves the provider with the two kinds of client that an
// administrator could register for mcpauth: a native one without a secret, and
// one with a secret and an exact redirect address.
func startProvider(t *testing.T, redirectPort int) *provider {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	// The slash at the end is this provider's habit and part of its name:
	// issuers are compared exactly (RFC 8414 section 3.3).
	issuer := "http://" + server.Listener.Addr().String() + "/"
	storage.RegisterClients(
		storage.NativeClient("native", "http://127.0.0.1/callback"),
		storage.WebClient("web", webSecret, fmt.Sprintf("http://127.0.0.1:%d/callback", redirectPort)),
	)
	store := &watched{Storage: storage.NewStorage(storage.NewUserStore(issuer))}
	server.Config.Handler = exampleop.SetupServer(issuer, store, slog.New(slog.DiscardHandler), false)
	server.Start()
	t.Cleanup(server.Close)
	return &provider{Issuer: issuer, store: store}
}

func (p *provider) rotations() int {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return p.store.rotations
}

// currentRevoked reports whether the refresh token issued last was revoked.
func (p *provider) currentRevoked() bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return p.store.current != "" && slices.Contains(p.store.revoked, p.store.current)
}

func (w *watched) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, old string) (string, string, time.Time, error) {
	access, refresh, expires, err := w.Storage.CreateAccessAndRefreshTokens(ctx, request, old)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.current = refresh
		if old != "" {
			w.rotations++
		}
	}
	return access, refresh, expires, err
}

func (w *watched) RevokeToken(ctx context.Context, token, userID, clientID string) *oidc.Error {
	err := w.Storage.RevokeToken(ctx, token, userID, clientID)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.revoked = append(w.revoked, token)
	}
	return err
}

func (w *watched) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := w.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return hurried{client}, nil
}

// hurried is a client whose ID tokens expire almost at once.
type hurried struct{ op.Client }

func (hurried) IDTokenLifetime() time.Duration { return idTokenLifetime }
