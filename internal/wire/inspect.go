package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Bounds of the body of a request, in bytes. A form with a large ID token has 10
// KiB, the JSON that registers a client one.
const (
	maxForm = 1 << 20
	maxJSON = 64 << 10
)

// fieldKinds are the form fields that carry a credential, and the kinds that may
// stand there.
func fieldKinds(name string) []Kind {
	switch name {
	case "client_secret":
		return []Kind{ClientSecret}
	case "client_assertion":
		return []Kind{ClientAssertion}
	case "assertion":
		return []Kind{IDJAG, WorkloadToken}
	case "subject_token", "actor_token":
		return []Kind{SubjectToken}
	case "refresh_token":
		return []Kind{RefreshToken}
	case "code", "code_verifier", "device_code":
		return []Kind{Code}
	case "token": // RFC 7009 section 2.1
		return []Kind{RefreshToken, AccessToken}
	case "access_token": // RFC 6750 section 2.2
		return []Kind{AccessToken}
	}
	return nil
}

// inspect refuses a request that carries a secret where it was not permitted to
// go. It returns the request to send, which differs from req in its User-Agent
// and in a body that was read whole, so that what is sent is what was seen. The JSON
// body of a stream is not read.
func (n *Net) inspect(req *http.Request, stream bool) (*http.Request, error) {
	if err := n.inspectURL(req.URL); err != nil {
		// http.Client writes the URL into its error. This is the one thing
		// changed in a caller's request, and the request goes nowhere (S19).
		*req.URL = url.URL{Scheme: "refused", Opaque: "withheld"}
		return nil, err
	}
	host := req.URL.Host
	if req.Host != "" && req.Host != host {
		return nil, &Blocked{Host: host, Reason: "the Host header names another host"}
	}
	if err := n.inspectHeader(req); err != nil {
		return nil, err
	}
	out := req.Clone(req.Context())
	if len(out.Header.Values("User-Agent")) == 0 {
		out.Header.Set("User-Agent", n.opt.UserAgent)
	}
	hasBody := req.Body != nil && req.Body != http.NoBody
	switch req.Method {
	case http.MethodPost:
		if hasBody {
			return out, n.inspectBody(out, stream)
		}
	case http.MethodGet, http.MethodHead, http.MethodDelete, "":
		if hasBody {
			return nil, &Blocked{Host: host, Reason: "only a POST may have a body"}
		}
	default: // TRACE sends credentials back, CONNECT goes elsewhere
		return nil, &Blocked{Host: host, Reason: "method not in use here"}
	}
	return out, nil
}

// inspectURL keeps credentials out of URLs altogether (S19).
func (n *Net) inspectURL(u *url.URL) error {
	if kind, ok := n.table.find(u.String()); ok {
		return &Refusal{Kind: kind, Place: "URL"} // no host: it may be there
	}
	if u.User != nil || u.Opaque != "" {
		return &Blocked{Reason: "a URL with user information or without a host"}
	}
	if u.RawQuery == "" {
		return nil
	}
	for name, values := range u.Query() {
		kinds := fieldKinds(name)
		if name == "code" || name == "token" || name == "device_code" {
			continue // words that strangers' URLs use for other things
		}
		if kinds != nil && strings.Join(values, "") != "" {
			return &Refusal{Kind: kinds[0], Host: u.Host, Place: "URL"}
		}
	}
	return nil
}

func (n *Net) inspectHeader(req *http.Request) error {
	host := req.URL.Host
	for name, values := range req.Header {
		if name != textproto.CanonicalMIMEHeaderKey(name) { // would pass Get and be sent all the same
			return &Blocked{Host: host, Reason: "a header name in an unusual spelling"}
		}
		if name == "Cookie" || name == "Proxy-Authorization" || name == "Authorization" && len(values) > 1 {
			return &Refusal{Host: host, Place: name + " header"}
		}
		if name == "Dpop" { // as net/http spells it
			if err := n.inspectProof(req, values); err != nil {
				return err
			}
			continue
		}
		for _, v := range values {
			if name == "Authorization" {
				if err := n.inspectAuthorization(req, v); err != nil {
					return err
				}
			} else if kind, ok := n.table.find(v); ok {
				return &Refusal{Kind: kind, Host: host, Place: name + " header"}
			}
		}
	}
	if len(req.Trailer) > 0 {
		return &Blocked{Host: host, Reason: "a request with trailers"}
	}
	return nil
}

func (n *Net) inspectAuthorization(req *http.Request, value string) error {
	const place = "Authorization header"
	scheme, rest, _ := strings.Cut(value, " ")
	switch lower(scheme) {
	case "bearer", "dpop":
		return n.credential(req, strings.Trim(rest, " "), place, AccessToken)
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(strings.Trim(rest, " "))
		id, value, ok := strings.Cut(string(plain), ":")
		if err != nil || !ok {
			return &Refusal{Kind: ClientSecret, Host: req.URL.Host, Place: place}
		}
		if kind, ok := n.table.find(id); ok {
			return &Refusal{Kind: kind, Host: req.URL.Host, Place: place}
		}
		// RFC 6749 section 2.3.1 encodes the secret as a form value first; some
		// servers want it raw.
		if n.credential(req, value, place, ClientSecret) == nil {
			return nil
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		return n.credential(req, value, place, ClientSecret)
	}
	return &Refusal{Host: req.URL.Host, Place: place}
}

// inspectBody reads a body whole and looks at each field of a form and each string
// of a JSON value. The JSON of a stream passes unread: it may have no end, and no
// stage puts a credential into it.
func (n *Net) inspectBody(req *http.Request, stream bool) error {
	host := req.URL.Host
	mediaType, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	isJSON := err == nil && mediaType == "application/json"
	if isJSON && stream {
		return nil
	}
	if err != nil || !isJSON && mediaType != "application/x-www-form-urlencoded" || len(req.Header.Values("Content-Type")) > 1 || req.Header.Get("Content-Encoding") != "" {
		return &Blocked{Host: host, Reason: "a body that is neither a form nor JSON"}
	}
	limit, what := maxForm, "a form of more than 1 MiB"
	if isJSON {
		limit, what = maxJSON, "a JSON body of more than 64 KiB"
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, int64(limit)+1))
	req.Body.Close()
	if err != nil {
		return fmt.Errorf("read request body: %w", err)
	}
	if len(body) > limit {
		return &Blocked{Host: host, Reason: what}
	}
	req.ContentLength = int64(len(body))
	req.TransferEncoding = nil
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	if isJSON {
		if kind, ok, err := n.table.findInJSON(body); err != nil {
			return &Blocked{Host: host, Reason: "a JSON body that cannot be read"}
		} else if ok {
			return &Refusal{Kind: kind, Host: host, Place: "JSON body"}
		}
		return nil
	}
	return n.inspectForm(req, body)
}

func (n *Net) inspectForm(req *http.Request, body []byte) error {
	host := req.URL.Host
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return &Blocked{Host: host, Reason: "a form that cannot be read"}
	}
	for name, values := range form {
		if kind, ok := n.table.find(name); ok {
			return &Refusal{Kind: kind, Host: host, Place: "form field name"}
		}
		for _, v := range values {
			if kinds := fieldKinds(name); kinds != nil && v != "" {
				if err := n.credential(req, v, "form field "+name, kinds...); err != nil {
					return err
				}
			} else if kind, ok := n.table.find(v); ok {
				return &Refusal{Kind: kind, Host: host, Place: "form field"}
			}
		}
	}
	return nil
}

// credential refuses a value in a place for credentials unless it was permitted
// to go there as one of kinds.
func (n *Net) credential(req *http.Request, value, place string, kinds ...Kind) error {
	known := n.table.grants(value)
	for _, g := range known {
		if slices.Contains(kinds, g.kind) && g.to.covers(req.Method, req.URL) {
			return nil
		}
	}
	refusal := &Refusal{Kind: kinds[0], Host: req.URL.Host, Place: place}
	if known != nil {
		refusal.Kind = known[0].kind
	} else if slices.Contains(kinds, ClientAssertion) && n.table.allowsAssertion(value, req) {
		return nil
	}
	return refusal
}
