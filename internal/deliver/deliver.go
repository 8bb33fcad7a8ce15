// Package deliver hands a token out in the form its reader takes. It is the last
// stage of the flow.
//
// What is written here is read by programs, and a token is the last thing in
// which a server could hide a line break or a quote: each writer refuses a token
// that is not visible ASCII, even one that comes from our own cache (attack S26).
package deliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
)

// Writer writes a token in one form.
type Writer func(io.Writer, token.Token) error

// Forms of the headers command, by the name of --format. The contract of header
// helpers is "json": one object whose values are all strings, and nothing else.
var Headers = map[string]Writer{
	"json":   line("{\"Authorization\":\"Bearer %s\"}\n"), // reveal lets nothing through that JSON would escape
	"header": line("Authorization: Bearer %s\n"),
	"curl":   line("header = \"Authorization: Bearer %s\"\n"),
	"bazel":  bazel,
}

// Forms of the token command, by the name of --format.
var Tokens = map[string]Writer{
	"bare":            line("%s\n"),
	"json":            tokenJSON,
	"exec-credential": execCredential,
}

func line(format string) Writer {
	return func(w io.Writer, t token.Token) error {
		clear, err := reveal(t)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, format, clear)
		return err
	}
}

// bazel is the answer of the EngFlow credential helper specification.
func bazel(w io.Writer, t token.Token) error {
	return object(w, t, func(clear string) any {
		return struct {
			Headers map[string][]string `json:"headers"`
			Expires time.Time           `json:"expires"`
		}{map[string][]string{"Authorization": {"Bearer " + clear}}, t.Expires.UTC().Truncate(time.Second)}
	})
}

func tokenJSON(w io.Writer, t token.Token) error {
	return object(w, t, func(clear string) any {
		return struct {
			Version     int       `json:"version"`
			Server      string    `json:"server"`
			Resource    string    `json:"resource"`
			AccessToken string    `json:"access_token"`
			TokenType   string    `json:"token_type"`
			ExpiresAt   time.Time `json:"expires_at"`
			Scope       string    `json:"scope,omitempty"`
		}{1, t.Server, t.Resource, clear, t.Type, t.Expires.UTC().Truncate(time.Second), join(t.Scopes)}
	})
}

// execCredential is what Kubernetes' clients read from a credential plugin.
func execCredential(w io.Writer, t token.Token) error {
	type status struct {
		Token               string    `json:"token"`
		ExpirationTimestamp time.Time `json:"expirationTimestamp"`
	}
	return object(w, t, func(clear string) any {
		return struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Status     status `json:"status"`
		}{"client.authentication.k8s.io/v1", "ExecCredential", status{clear, t.Expires.UTC().Truncate(time.Second)}}
	})
}

func object(w io.Writer, t token.Token, shape func(clear string) any) error {
	clear, err := reveal(t)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(shape(clear))
}

func reveal(t token.Token) (string, error) {
	clear := t.AccessToken.Reveal()
	if clear == "" {
		return "", errors.New("there is no token to hand out")
	}
	for i := range len(clear) {
		// Quote and backslash would leave the quotes of the curl form.
		if c := clear[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return "", errors.New("the token holds characters that no header can carry")
		}
	}
	return clear, nil
}

func join(scopes []string) (s string) {
	for i, scope := range scopes {
		if i > 0 {
			s += " "
		}
		s += scope
	}
	return s
}
