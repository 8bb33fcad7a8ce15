package idjagtest

import (
	"fmt"
	"net/http"
	"strings"
)

// refusal is an OAuth error answer. What the client is told is what the record
// says, as far as error_description may hold it.
type refusal struct {
	status      int
	code        string
	reason      string
	description string
	extra       map[string]any
}

// refuse makes a refusal with the status that the code usually has.
func refuse(code, format string, args ...any) *refusal {
	status := http.StatusBadRequest
	switch code {
	case "invalid_client":
		status = http.StatusUnauthorized // RFC 6749 section 5.2
	case "access_denied", "insufficient_scope":
		status = http.StatusForbidden
	case "not_found":
		status = http.StatusNotFound
	case "server_error":
		status = http.StatusInternalServerError
	}
	reason := fmt.Sprintf(format, args...)
	return &refusal{status: status, code: code, reason: reason, description: printable(reason)}
}

func (r *refusal) as(status int) *refusal {
	r.status = status
	return r
}

func (r *refusal) write(c *call) {
	body := map[string]any{}
	if r.code != "" {
		body["error"] = r.code
	}
	if r.description != "" {
		body["error_description"] = r.description
	}
	for name, value := range r.extra {
		body[name] = value
	}
	if r.code == "invalid_client" && c.r.Header.Get("Authorization") != "" {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="token"`) // RFC 6749 section 5.2
	}
	writeJSON(c.w, r.status, body)
}

// printable keeps the characters that RFC 6749 section 5.2 allows in
// error_description.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < 0x20 || r > 0x7e:
			return -1
		}
		return r
	}, s)
}
