package discover

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// No error in this package contains a response body, and every URL in an error
// text has lost its query, since a configured URL may carry a key there. The
// fields keep URLs in the same reduced form, except for identifiers, which are
// useless unless they are complete.

// NotFound says that every place was asked and none had metadata.
type NotFound struct {
	// Tried has one entry per place, in the order asked. For Resource the entry
	// with the server's own URL is the probe; status 200 there means that the
	// server answers without any token.
	Tried []*StatusError
}

func (e *NotFound) Error() string {
	list := make([]string, len(e.Tried))
	for i, t := range e.Tried {
		list[i] = t.Error()
	}
	return "no metadata: " + strings.Join(list, ", ")
}

// IssuerMismatch says that metadata belongs to another issuer than the one
// asked for. It must not be used (RFC 8414 section 3.3, attack S1).
type IssuerMismatch struct{ Want, Got string }

func (e *IssuerMismatch) Error() string {
	text := fmt.Sprintf("metadata names the issuer %s, want %s", quoted(e.Got), quoted(e.Want))
	if strings.TrimSuffix(e.Got, "/") == strings.TrimSuffix(e.Want, "/") {
		text += "; only the slash at the end differs, which still makes them two issuers"
	}
	return text
}

// ResourceMismatch says that the metadata found for Server describes something
// else. It must not be used (RFC 9728 section 3.3, attack S2).
type ResourceMismatch struct{ Server, Published string }

func (e *ResourceMismatch) Error() string {
	return fmt.Sprintf("metadata found for %s describes the resource %s", quoted(e.Server), quoted(e.Published))
}

// Malformed says that an answer came but is not what it should be.
type Malformed struct {
	URL string // without query
	Why string
	// WebPage: the answer was HTML or a redirect to elsewhere, as a sign-in
	// proxy, a captive portal or a single-page site gives.
	WebPage bool
}

func (e *Malformed) Error() string { return fmt.Sprintf("read metadata from %s: %s", e.URL, e.Why) }

// StatusError is an HTTP status that is no answer to the question.
type StatusError struct {
	URL        string // without query
	Status     int
	RetryAfter time.Duration // zero when the server did not say
}

func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s answered %d %s", e.URL, e.Status, http.StatusText(e.Status)))
}

// maxShown bounds what an error repeats of a stranger's text, in bytes.
const maxShown = 300

// withoutQuery is how a URL is written in an error: the network may have named
// it, so it has a limit, too.
func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "(not a URL)"
	}
	text := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return text
}
