package cimd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxFetch bounds what Fetch reads. It is more than a document may have, so that
// one that is too big can still be looked at.
const maxFetch = 64 << 10

// Fetch asks for a document, or for the keys at a jwks_uri, as an authorization
// server does: with no redirect followed, 200 the only good answer and JSON the
// only good content. What is wrong about the answer is in the findings; the body
// is nil when there is none to look at. The error is about the request alone.
//
// hc sends the request; nil means http.DefaultClient, which has no time limit.
// Proxies, certificates and private addresses are its affair.
func Fetch(ctx context.Context, hc *http.Client, address string) (body []byte, list []Finding, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, LintURL(address), nil
	}
	req.Header.Set("Accept", "application/json")
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := own.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which is the caller's to show
		}
		return nil, nil, fmt.Errorf("ask %s for client metadata: %w", shown(req.URL.Host), err)
	}
	defer resp.Body.Close()
	r := &report{}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		r.error("served-redirect", draftFetch, "answer %s without a redirect (it is %d): authorization servers follow none", shown(address), resp.StatusCode)
		return nil, r.list, nil
	case resp.StatusCode != http.StatusOK:
		r.error("served-status", draftFetch, "answer %s with 200: it is %d", shown(address), resp.StatusCode)
		return nil, r.list, nil
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || !isJSON(kind) {
		r.error("served-type", draftDocument, "answer %s with the content type application/json: it is %s", shown(address), shown(resp.Header.Get("Content-Type")))
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxFetch+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read client metadata from %s: %w", shown(req.URL.Host), err)
	}
	if len(body) > maxFetch {
		r.error("size", draftSecurity, "shorten what %s answers: it has more than %d bytes", shown(address), maxFetch)
		return nil, r.list, nil
	}
	return body, r.list, nil
}
