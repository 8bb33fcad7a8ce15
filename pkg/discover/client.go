package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a metadata document; real ones have a few kilobytes (attack S25).
const maxBody = 1 << 20

// How long an answer may be kept. The floor is there because many servers send
// max-age=0 with metadata that has not changed for a year.
const (
	minAge     = 5 * time.Minute
	defaultAge = time.Hour
	maxAge     = 24 * time.Hour
)

// Cache keeps metadata documents by URL. It need not be trustworthy: what Get
// returns passes every check again, and a document that fails them is asked for
// anew. It must be safe for concurrent use if the Client is used so.
//
// To discover afresh and still refill the cache, hand in one whose Get finds nothing.
type Cache interface {
	Get(url string) (body []byte, ok bool)
	Put(url string, body []byte, maxAge time.Duration)
}

// Client asks for metadata. The zero value works. It keeps no state of its own
// and is safe for concurrent use.
type Client struct {
	// HTTP sends the requests; nil means http.DefaultClient, which has no time
	// limit. Proxies, certificates, redirects and private addresses are its affair.
	HTTP *http.Client
	// Cache may be nil: nothing is kept then.
	Cache Cache
	// Now is the clock for Retry-After dates; nil means time.Now.
	Now func() time.Time
	// Strict accepts a resource identifier only if it is the server's URL, byte
	// for byte, as RFC 9728 section 3.3 has it. Many servers publish a parent.
	Strict bool
	// ForeignMetadata lets a challenge name resource metadata on another origin
	// than the server's. The resource in it must still match the server.
	ForeignMetadata bool
	// ChallengeFirst has Resource probe the server before it asks for a document,
	// and leave the Cache alone. That is for what decides about a consent, where
	// the scopes of the challenge count and a round trip does not (MCP 2026-07-28,
	// Scope Selection Strategy).
	ChallengeFirst bool
}

// recall returns the document kept under key if it still parses. The key is
// the place that is asked first, wherever the document was found then: so that a
// server whose metadata is elsewhere costs no request either, and documents of two
// servers that share an origin are kept apart.
func recall[T any](c *Client, key string, parse func(from string, body []byte) (T, error)) (v T, ok bool) {
	if c.Cache == nil {
		return v, false
	}
	body, hit := c.Cache.Get(key)
	if !hit || len(body) > maxBody {
		return v, false
	}
	v, err := parse(key, body)
	return v, err == nil
}

// ask fetches the document at one place and keeps it under key if it parses.
// Neither found nor an error means that the next place may be asked.
func ask[T any](ctx context.Context, c *Client, s *search, key, place string, parse func(from string, body []byte) (T, error)) (v T, found bool, err error) {
	var none T
	body, age, err := c.get(ctx, place)
	if err == nil {
		v, err = parse(place, body)
	}
	switch {
	case err == nil:
		if c.Cache != nil && age > 0 {
			c.Cache.Put(key, body, age)
		}
		return v, true, nil
	case s.goOn(err):
		return none, false, nil
	default:
		return none, false, err
	}
}

// search collects what the places asked so far answered.
type search struct {
	tried []*StatusError
	first error // the first odd answer that did not end the search
}

// goOn reports whether the next place may be asked. "Not here" is such an
// answer, and so is a web page: sites that answer every path with their start
// page are common, and no one takes that page for metadata.
func (s *search) goOn(err error) bool {
	var status *StatusError
	if errors.As(err, &status) && isAbsence(status.Status) {
		s.tried = append(s.tried, status)
		return true
	}
	var bad *Malformed
	if errors.As(err, &bad) && bad.WebPage {
		s.remember(err)
		return true
	}
	return false
}

func (s *search) remember(err error) {
	if s.first == nil {
		s.first = err
	}
}

// result is the error of a search that found nothing.
func (s *search) result() error {
	if s.first != nil {
		return s.first
	}
	return &NotFound{Tried: s.tried}
}

// isAbsence: 4xx, except for those that speak of this moment or of a proxy.
func isAbsence(status int) bool {
	switch status {
	case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// get returns a body and how long it may be kept, zero for not at all.
func (c *Client) get(ctx context.Context, u string) ([]byte, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, 0, &Malformed{URL: withoutQuery(u), Why: "not a URL"}
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.do(req)
	if err != nil {
		return nil, 0, err
	}
	defer drain(resp.Body)
	if err := c.refusal(req.URL, resp); err != nil {
		return nil, 0, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", withoutQuery(u), err)
	}
	if len(body) > maxBody {
		return nil, 0, &Malformed{URL: withoutQuery(u), Why: "more than 1 MiB"}
	}
	return body, keepFor(resp.Header), nil
}

// do sends a request. Network errors are wrapped without the URL that net/http
// puts in front of them, for it has a query.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("ask %s: %w", withoutQuery(req.URL.String()), err)
	}
	if resp.Request == nil { // from a RoundTripper other than net/http's
		resp.Request = req
	}
	return resp, nil
}

// refusal says why a response is not a document, nil if it may be one.
func (c *Client) refusal(asked *url.URL, resp *http.Response) error {
	at := withoutQuery(asked.String())
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400, !sameOrigin(asked, resp.Request.URL):
		return &Malformed{URL: at, WebPage: true, Why: fmt.Sprintf("got a redirect to %q, is a sign-in proxy in the way?", destination(resp))}
	case resp.StatusCode >= 400:
		return c.status(asked, resp)
	case resp.StatusCode != http.StatusOK:
		return &Malformed{URL: at, Why: fmt.Sprintf("got status %d instead of a document", resp.StatusCode)}
	case kind == "text/html" || kind == "application/xhtml+xml":
		return webPage(at)
	}
	return nil
}

// destination names the host of a redirect only, as the rest may be anything.
func destination(resp *http.Response) string {
	if to, err := resp.Location(); err == nil && to.Host != "" {
		return to.Host
	}
	return resp.Request.URL.Host
}

func (c *Client) status(asked *url.URL, resp *http.Response) *StatusError {
	e := &StatusError{URL: withoutQuery(asked.String()), Status: resp.StatusCode}
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		e.RetryAfter = time.Duration(min(n, int(maxAge/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		now := time.Now
		if c.Now != nil {
			now = c.Now
		}
		e.RetryAfter = min(max(0, at.Sub(now())), maxAge)
	}
	return e
}

// keepFor reads Cache-Control. Other directives are ignored: this is a private
// cache of documents that change a few times in their life.
func keepFor(h http.Header) time.Duration {
	age := defaultAge
	for _, d := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch strings.ToLower(name) {
		case "no-store":
			return 0
		case "max-age":
			n, err := strconv.Atoi(strings.Trim(value, `"`))
			if err != nil || n < 0 {
				continue
			}
			age = time.Duration(min(n, int(maxAge/time.Second))) * time.Second
		}
	}
	return max(age, minAge)
}

// drain reads what little is left, so that the connection can be used again.
func drain(body io.ReadCloser) {
	io.CopyN(io.Discard, body, 64<<10)
	body.Close()
}
