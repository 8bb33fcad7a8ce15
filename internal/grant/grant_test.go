package grant

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Which refusals may be about the age of the subject token (quirk table 3.1), so
// that a renewal is worth a try.
func TestStale(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		code string
		typ  string
		left time.Duration
		want bool
	}{
		{"invalid_grant", idjag.TokenTypeIDToken, time.Hour, true},
		{"invalid_grant", idjag.TokenTypeRefreshToken, 0, true},
		{"invalid_request", idjag.TokenTypeIDToken, 4 * time.Minute, true},
		{"invalid_request", idjag.TokenTypeIDToken, -time.Hour, true},
		{"invalid_request", idjag.TokenTypeIDToken, 6 * time.Minute, false},
		{"invalid_request", idjag.TokenTypeRefreshToken, time.Minute, false},
		{"access_denied", idjag.TokenTypeIDToken, time.Minute, false},
		{"invalid_target", idjag.TokenTypeIDToken, time.Minute, false},
		{"invalid_scope", idjag.TokenTypeIDToken, time.Minute, false},
		{"invalid_client", idjag.TokenTypeIDToken, time.Minute, false},
		{"unauthorized_client", idjag.TokenTypeIDToken, time.Minute, false},
		{"insufficient_user_authentication", idjag.TokenTypeIDToken, time.Minute, false},
		{"INVALID_GRANT", idjag.TokenTypeIDToken, time.Minute, false},
		{"", idjag.TokenTypeIDToken, time.Minute, false},
	} {
		s := identity.Subject{Type: row.typ, Identity: state.Identity{Expires: now.Add(row.left)}}
		if got := stale(&endpoint.Error{Code: row.code}, s, func() time.Time { return now }); got != row.want {
			t.Errorf("%s with a %s that has %v left: got %v, want %v", row.code, row.typ, row.left, got, row.want)
		}
	}
	if stale(context.DeadlineExceeded, identity.Subject{Type: idjag.TokenTypeIDToken}, nil) {
		t.Error("a timeout is no refusal")
	}
}

// What is waited for: a server that says when to come back, soon, and a caller who
// has the time.
func TestLater(t *testing.T) {
	busy := func(after time.Duration) error { return &endpoint.Error{Status: 429, RetryAfter: after} }
	for _, row := range []struct {
		name string
		err  error
		time time.Duration // the caller's
		want bool
		wait time.Duration
	}{
		{"soon", busy(2 * time.Second), 6 * time.Second, true, 2 * time.Second},
		{"too late", busy(4 * time.Second), time.Minute, false, 0},
		{"beyond the caller's time", busy(3 * time.Second), 2 * time.Second, false, 0},
		{"never", busy(0), time.Minute, false, 0},
		{"a decision", &endpoint.Error{Status: 403, Code: "access_denied", RetryAfter: time.Second}, time.Minute, false, 0},
		{"no error", nil, time.Minute, false, 0},
		{"another error", errors.New("x"), time.Minute, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), row.time)
				defer cancel()
				start := time.Now()
				if got := later(ctx, row.err); got != row.want || time.Since(start) != row.wait {
					t.Errorf("got %v after %v, want %v after %v", got, time.Since(start), row.want, row.wait)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if later(ctx, busy(2*time.Second)) || time.Since(start) != time.Second {
			t.Errorf("a canceled caller waited %v", time.Since(start))
		}
	})
}
