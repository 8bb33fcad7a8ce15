// Package mcptoken gives a Go program access tokens for MCP servers from the
// sign-in and the cache of the mcpauth command: whoever has run "mcpauth login"
// is not asked anything again.
//
// A Source is an oauth2.TokenSource, and an auth.OAuthHandler of the official MCP
// SDK for Go:
//
//	transport := &mcp.StreamableClientTransport{
//		Endpoint:     "https://wiki.example/mcp",
//		OAuthHandler: &mcptoken.Source{Server: "wiki"},
//	}
//
// Tokens are had by running mcpauth, as git and Docker run their credential
// helpers. So a program needs no access of its own to the keychain, and whatever
// IT distributes as mcpauth decides, not the version that a program was built
// with. A token is kept in memory until shortly before it expires, so that the
// command runs about once in a token's life.
package mcptoken

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

// margin is how long before its expiry a token is replaced.
const margin = 30 * time.Second

// patience is how long no further token is got because one was refused.
const patience = time.Minute

// timeout is what a call without a deadline of its own gets. mcpauth answers
// within six seconds.
const timeout = 10 * time.Second

// Source gives tokens for one server. Server is required. A Source must not be
// copied after its first use and is safe for concurrent use.
type Source struct {
	// Server is the server's name in mcpauth's configuration, or its URL there.
	Server string

	// Command is the program to run and its first arguments. Nil means mcpauth,
	// found in PATH.
	Command []string

	// Scopes are asked for in place of the configured ones, if not nil.
	Scopes []string

	// MaxScopes bounds what a server can make Authorize ask for. Nil means that
	// Authorize never asks for more than before.
	MaxScopes []string

	Now func() time.Time // nil means time.Now

	mu      sync.Mutex
	token   *oauth2.Token
	granted []string
	extra   []string // scopes that the server has challenged for, and that were granted
	renewed time.Time
}

// Error is mcpauth's refusal, as it tells it with --json.
type Error struct {
	ExitCode int    // 3 sign-in needed, 4 refused by policy, 5 stronger sign-in needed, 6 temporary, 8 stopped for security
	Code     string // an OAuth error code or a word of mcpauth's
	Stage    string // the leg of the flow
	Message  string // for people
	Hint     string // what to type, for people
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return "mcpauth: " + e.Message
	}
	return fmt.Sprintf("mcpauth: %s (hint: %s)", e.Message, e.Hint)
}

var _ oauth2.TokenSource = (*Source)(nil)

// Token implements oauth2.TokenSource. The caller must not change the token.
func (s *Source) Token() (*oauth2.Token, error) { return s.TokenContext(context.Background()) }

// TokenContext is Token under a context. An error is an *Error when mcpauth
// refused, and otherwise says why it could not be run.
func (s *Source) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != nil && s.token.Expiry.Sub(s.now()) > margin {
		return s.token, nil
	}
	return s.get(ctx, false)
}

// TokenSource implements auth.OAuthHandler of the MCP SDK.
func (s *Source) TokenSource(context.Context) (oauth2.TokenSource, error) { return s, nil }

// Authorize implements auth.OAuthHandler of the MCP SDK: after a 401 it has
// mcpauth get a new token, and after a 403 that asks for further scopes one with
// those as well, as far as MaxScopes allows. It never starts a sign-in, and because
// of a 401 it gets one new token a minute at most: a server that takes none must not
// have the identity provider asked for every request. It closes the response's body.
func (s *Source) Authorize(ctx context.Context, req *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if resp.StatusCode == http.StatusForbidden {
		return s.widen(ctx, resp)
	}
	if s.token != nil && req.Header.Get("Authorization") != "Bearer "+s.token.AccessToken {
		return nil // somebody else has replaced the refused token already
	}
	if !s.renewed.IsZero() && s.now().Sub(s.renewed) < patience {
		return errors.New("the server refuses a new token as well")
	}
	_, err := s.get(ctx, true)
	if err == nil {
		s.renewed = s.now()
	}
	return err
}

// widen asks for what was granted before and what the challenge names (MCP
// 2026-07-28, Step-Up Authorization Flow).
func (s *Source) widen(ctx context.Context, resp *http.Response) error {
	challenges, err := discover.Challenges(resp.Header)
	if err != nil {
		return fmt.Errorf("read the server's challenge: %w", err)
	}
	var want []string
	for _, c := range challenges {
		if c.ErrorCode() == "insufficient_scope" {
			want = append(want, c.Scopes()...)
		}
	}
	for _, scope := range want {
		if !slices.Contains(s.MaxScopes, scope) {
			return fmt.Errorf("the server asks for the scope %q, which MaxScopes does not allow", scope)
		}
	}
	before, extra := len(s.granted), s.extra
	if len(union(s.granted, want)) == before {
		return errors.New("the server refuses access, and asks for no scope that is missing")
	}
	s.extra = union(s.extra, want)
	if _, err := s.get(ctx, true); err != nil {
		s.extra = extra // else every later token would be refused because of them
		return err
	}
	if len(s.granted) <= before {
		return errors.New("the server refuses access, and no further scope was granted")
	}
	return nil
}

// get runs mcpauth. The caller holds the lock, so that one process at a time runs
// for all callers of a Source.
func (s *Source) get(ctx context.Context, fresh bool) (*oauth2.Token, error) {
	if s.Server == "" {
		return nil, errors.New("mcptoken: Source.Server is not set")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	argv := s.Command
	if argv == nil {
		argv = []string{"mcpauth"}
	}
	argv = append(slices.Clone(argv), "token", "--json")
	if fresh {
		argv = append(argv, "--fresh")
	}
	for _, scope := range s.scopes() {
		argv = append(argv, "--scope", scope)
	}
	argv = append(argv, "--", s.Server)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, refusal(ctx, err, cmd, stderr.Bytes())
	}
	var answer struct {
		Version     int       `json:"version"`
		AccessToken string    `json:"access_token"`
		TokenType   string    `json:"token_type"`
		ExpiresAt   time.Time `json:"expires_at"`
		Scope       string    `json:"scope"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil || answer.Version != 1 || answer.AccessToken == "" {
		return nil, errors.New("run mcpauth: the answer is not one of this version")
	}
	s.token = &oauth2.Token{AccessToken: answer.AccessToken, TokenType: answer.TokenType, Expiry: answer.ExpiresAt}
	s.granted = strings.Fields(answer.Scope)
	return s.token, nil
}

// scopes are nil as long as mcpauth's configuration decides.
func (s *Source) scopes() []string {
	if s.extra == nil {
		return s.Scopes
	}
	base := s.Scopes
	if base == nil {
		base = s.granted
	}
	return union(base, s.extra)
}

// refusal reads the error that mcpauth wrote, which never holds a secret.
func refusal(ctx context.Context, err error, cmd *exec.Cmd, stderr []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run mcpauth: %w", ctx.Err())
	}
	lines := bytes.Split(bytes.TrimSpace(stderr), []byte("\n"))
	var body struct {
		Error struct{ Code, Stage, Message, Hint string }
	}
	if cmd.ProcessState != nil && json.Unmarshal(lines[len(lines)-1], &body) == nil && body.Error.Message != "" {
		return &Error{cmd.ProcessState.ExitCode(), body.Error.Code, body.Error.Stage, body.Error.Message, body.Error.Hint}
	}
	return fmt.Errorf("run mcpauth: %w", err)
}

// now is without the monotonic reading, which stands still while a laptop sleeps.
func (s *Source) now() time.Time {
	if s.Now != nil {
		return s.Now().Round(0)
	}
	return time.Now().Round(0)
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
