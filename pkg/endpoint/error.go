package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/pkg/dpop"
)

// Error is an endpoint's refusal (RFC 6749 section 5.2), or an answer that is
// none. Its text names the endpoint, the status and the code. What the server
// wrote for people is in Description and URI and never in the text: it is a
// stranger's, up to 256 KiB long, and must be cleaned before a terminal sees it.
type Error struct {
	Endpoint string // URL without query
	Status   int    // HTTP status
	Code     string // the "error" member; empty when the answer was no OAuth error

	Description string // "error_description", not cleaned
	URI         string // "error_uri", not cleaned; never open it unasked

	// ACRValues and MaxAge say which sign-in insufficient_user_authentication
	// asks for (RFC 9470 section 3). MaxAge is negative when it is not stated.
	ACRValues string
	MaxAge    time.Duration

	// RetryAfter is the wait that the server asks for, zero when it does not and a
	// day at most.
	RetryAfter time.Duration

	// Strange says what came instead of an OAuth answer, for example "a web
	// page", and is empty otherwise.
	Strange string

	Date time.Time // the server's clock, zero when it did not tell
}

func (e *Error) Error() string {
	switch {
	case e.Code != "":
		return fmt.Sprintf("%s answered %q (HTTP %d)", e.Endpoint, short(e.Code), e.Status)
	case e.Strange != "":
		return fmt.Sprintf("%s answered with %s (HTTP %d)", e.Endpoint, e.Strange, e.Status)
	}
	return fmt.Sprintf("%s answered HTTP %d", e.Endpoint, e.Status)
}

// Temporary reports whether the same request may succeed later: the server is
// overloaded, broken or being repaired. A decision stays one, whatever the status
// it came with: asking again would hammer a server that has said no.
func (e *Error) Temporary() bool {
	switch {
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusRequestTimeout, e.Code == "temporarily_unavailable":
		return true
	case slices.Contains(decisions, e.Code):
		return false
	}
	return e.Status >= 500
}

// decisions are the codes with which a server has understood and refused (RFC
// 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9449 sections 5 and 8, RFC 9470
// section 3). Others come from gateways as well: some write the status text there.
var decisions = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"invalid_target", "access_denied", "insufficient_user_authentication", "login_required", "interaction_required", "consent_required",
	"invalid_dpop_proof", dpop.ErrorUseNonce,
}

func refusal(url string, resp response) *Error {
	date := clockOf(resp)
	e := &Error{Endpoint: bare(url), Status: resp.StatusCode, MaxAge: -1, Date: date, RetryAfter: retryAfter(resp, date)}
	if members := resp.members; resp.jsonErr == nil {
		// A member of a wrong type reads as absent: the refusal stands anyway.
		e.Code, _ = members.Text("error")
		e.Description, _ = members.Text("error_description")
		e.URI, _ = members.Text("error_uri")
		e.ACRValues, _ = members.Text("acr_values")
		if d, ok, err := members.Seconds("max_age"); ok && err == nil {
			e.MaxAge = d
		}
	}
	if e.Code == "" {
		e.Strange = strange(resp)
	}
	return e
}

func strange(resp response) string {
	head := bytes.ToLower(bytes.TrimSpace(resp.body[:min(len(resp.body), 512)]))
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return "a redirect"
	case bytes.HasPrefix(head, []byte("<!doctype html")), bytes.HasPrefix(head, []byte("<html")),
		strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/html"):
		return "a web page"
	case len(head) == 0:
		return "an empty answer"
	case errors.Is(resp.jsonErr, errTooLarge):
		return "an answer that is too large"
	case resp.jsonErr != nil:
		return "something unusable (" + short(resp.jsonErr.Error()) + ")" // may name a member
	}
	return "JSON without an error code"
}

// retryAfter reads both forms of RFC 9110 section 10.2.3. A day is more than
// anybody waits, and keeps absurd values from overflowing.
func retryAfter(resp response, date time.Time) time.Duration {
	const most = 24 * time.Hour
	v := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if at, err := http.ParseTime(v); err == nil {
		if date.IsZero() {
			date = time.Now()
		}
		return min(max(at.Sub(date), 0), most)
	}
	if v != "" && strings.Trim(v, "0123456789") == "" { // digits beyond 32 bits
		return most
	}
	return 0
}

func short(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
