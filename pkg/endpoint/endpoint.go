// Package endpoint makes the one request that every OAuth grant is made of: a
// form posted to an endpoint by an authenticated client, answered by one JSON
// object (RFC 6749 sections 3.2, 5.1 and 5.2; RFC 7009 section 2).
//
// What the grant means is the caller's business. This package sees to it that
// the answer is an answer: of bounded size, one JSON object with every name
// once, from the endpoint itself and not from wherever it redirects to.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// MaxAnswer is the largest answer that is read, in bytes (rule X1, attack S25).
const MaxAnswer = 256 << 10

// Request is one post of a form.
type Request struct {
	URL    string
	Form   url.Values
	Client clientauth.Client // its Method must be chosen; see clientauth.Client.Choose

	// Prover shows the client's key to the endpoint (RFC 9449 section 5). Nil sends
	// no proof.
	Prover *dpop.Prover
}

// Answer is a JSON object with status 200. Its members are read one by one, by
// exact name; a member of another type than asked for is an error.
type Answer struct {
	members strictjson.Object

	// Date is the server's clock, zero when it did not tell.
	Date time.Time

	// Note is a departure from the standard that was tolerated, or empty.
	Note string
}

// Text returns a string member, empty when it is absent or null.
func (a Answer) Text(name string) (string, error) { return a.members.Text(name) }

// Has reports whether a member is there and not null.
func (a Answer) Has(name string) bool { return a.members.Has(name) }

// Seconds returns a length of time in seconds, given as a number or as a
// numeric string; ok is false when it is absent or null.
func (a Answer) Seconds(name string) (d time.Duration, ok bool, err error) {
	return a.members.Seconds(name)
}

// Post sends the form and returns the answer. Errors are an *Error when the
// server answered something else than success, and otherwise what the HTTP
// client returned. Neither holds any part of the form or of the body, but for
// the members that Error has.
//
// Post never follows a redirect, whatever the HTTP client would do: 307 and 308
// would send the form's secrets elsewhere. It does not check that the URL is the
// right one for the secrets in the form. A nil client means http.DefaultClient.
func Post(ctx context.Context, client *http.Client, r Request) (Answer, error) {
	resp, err := ask(ctx, client, r)
	if err != nil {
		return Answer{}, err
	}
	members := resp.members
	if resp.StatusCode != http.StatusOK || resp.jsonErr != nil {
		return Answer{}, refusal(r.URL, resp)
	}
	// A server may say 200 and mean no, as products whose other interfaces do so
	// are seen to do (quirk table 3.2).
	code, _ := members.Text("error")
	if token, _ := members.Text("access_token"); code != "" && token == "" {
		return Answer{}, refusal(r.URL, resp)
	}
	a := Answer{members: members, Date: clockOf(resp)}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		a.Note = fmt.Sprintf("the answer has the content type %q", short(kind))
	}
	return a, nil
}

// Revoke posts a revocation request (RFC 7009). A server that does not know the
// token answers 200 as well, and the body of a 200 means nothing.
func Revoke(ctx context.Context, client *http.Client, r Request) error {
	resp, err := ask(ctx, client, r)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return refusal(r.URL, resp)
}

// response is one that was read whole.
type response struct {
	*http.Response
	body    []byte
	members strictjson.Object
	jsonErr error // why there are no members
}

// ask sends the form, and once more when the server wants its nonce in the proof
// (RFC 9449 section 8). Only once: what it says to the second try is its answer.
func ask(ctx context.Context, client *http.Client, r Request) (response, error) {
	resp, err := askOnce(ctx, client, r)
	if err == nil && r.Prover != nil && wantsNonce(resp) {
		return askOnce(ctx, client, r)
	}
	return resp, err
}

func wantsNonce(resp response) bool {
	if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	code, _ := resp.members.Text("error")
	return code == dpop.ErrorUseNonce && dpop.Nonce(resp.Response) != ""
}

func askOnce(ctx context.Context, client *http.Client, r Request) (response, error) {
	raw, err := send(ctx, client, r)
	if err != nil {
		return response{}, err
	}
	defer raw.Body.Close()
	resp := response{Response: raw}
	if resp.body, err = io.ReadAll(io.LimitReader(raw.Body, MaxAnswer+1)); err != nil {
		return response{}, fmt.Errorf("read the answer of %s: %w", bare(r.URL), err)
	}
	resp.members, resp.jsonErr = parse(resp.body)
	return resp, nil
}

var errTooLarge = errors.New("it is too large")

func parse(body []byte) (strictjson.Object, error) {
	if len(body) > MaxAnswer {
		return nil, errTooLarge
	}
	return strictjson.Parse(body)
}

// clockOf is the server's clock, zero when it did not tell.
func clockOf(resp response) time.Time {
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	return date
}

func send(ctx context.Context, client *http.Client, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, nil)
	if err != nil {
		return nil, errors.New("post a form: the endpoint is not a URL")
	}
	form := url.Values{}
	for name, values := range r.Form {
		form[name] = values
	}
	if err := r.Client.Apply(req, form); err != nil {
		return nil, err
	}
	body := form.Encode()
	req.Body = io.NopCloser(strings.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if r.Prover != nil {
		proof, err := r.Prover.Proof(req.Method, r.URL, secret.Text{})
		if err != nil {
			return nil, err
		}
		req.Header.Set("DPoP", proof)
	}

	if client == nil {
		client = http.DefaultClient
	}
	stay := *client
	stay.Transport = noRedirect{client.Transport}
	resp, err := stay.Do(req)
	if err != nil {
		// url.Error repeats the URL; its query never holds a secret here, but the
		// text is shorter without it.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("ask %s: %w", bare(r.URL), err)
	}
	if r.Prover != nil {
		r.Prover.Learn(resp)
	}
	return resp, nil
}

// noRedirect drops the address of a redirect. CheckRedirect would come too late:
// net/http reads the address first, and quotes it in full when it is not a URL.
type noRedirect struct{ next http.RoundTripper }

func (n noRedirect) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.next == nil {
		n.next = http.DefaultTransport
	}
	resp, err := n.next.RoundTrip(r)
	if err == nil {
		resp.Header.Del("Location")
	}
	return resp, err
}

// bare is a URL without user, query and fragment, for error texts.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an unreadable URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
