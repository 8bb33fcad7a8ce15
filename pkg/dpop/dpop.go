// Package dpop shows that a client holds a private key: proofs of possession for
// OAuth (RFC 9449). A token that is bound to the key is of no use to a thief who
// does not have it.
//
//	key, err := dpop.NewKey()
//	p := &dpop.Prover{Key: key}
//	err = p.Sign(req, accessToken) // for every single request
//	resp, err := client.Do(req)
//	p.Learn(resp)
//	if dpop.WantsNonce(resp) { … } // sign again, and send once more
//
// Proofs to a token endpoint are made by package endpoint, which is handed the
// Prover. This package sends nothing, and checks no proof of anybody else.
package dpop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Bounds of what servers may have a Prover remember (attack S25).
const (
	maxNonce   = 1 << 10 // bytes; encrypted ones have a few hundred
	maxOrigins = 64
)

// ErrorUseNonce is the error code with which a server asks for its nonce (RFC
// 9449 sections 8 and 9).
const ErrorUseNonce = "use_dpop_nonce"

// Prover makes proofs with one key, and remembers the nonce that each origin gave
// last. It is safe for concurrent use and must not be copied. Key is required.
type Prover struct {
	Key *Key
	Now func() time.Time // nil means time.Now

	mu     sync.Mutex
	nonces []known // the one used last stands first
}

type known struct{ origin, nonce string }

// claims of a proof (RFC 9449 section 4.2).
type claims struct {
	ID     string `json:"jti"`
	Method string `json:"htm"`
	URL    string `json:"htu"`
	Issued int64  `json:"iat"`
	Token  string `json:"ath,omitempty"`
	Nonce  string `json:"nonce,omitempty"`
}

// Proof returns the value of the DPoP header for one request. The proof names the
// method and the URL without query and fragment, as they go over the wire; the
// access token by its hash, when there is one; and the nonce that the URL's origin
// gave last. It is good once, and for a few minutes by the server's clock, which
// is not corrected for.
func (p *Prover) Proof(method, rawURL string, accessToken secret.Text) (string, error) {
	if p.Key == nil {
		return "", errors.New("prove possession: no key")
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" { // url.Error repeats the URL
		return "", errors.New("prove possession: the request has no http or https URL")
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	c := claims{ID: rand.Text(), Method: method, URL: target(u), Issued: now().Unix(), Nonce: p.nonce(originOf(u))}
	if c.Method == "" {
		c.Method = http.MethodGet // as net/http has it
	}
	if !accessToken.IsZero() {
		sum := sha256.Sum256([]byte(accessToken.Reveal()))
		c.Token = encode(sum[:])
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", errors.New("prove possession: the proof cannot be written")
	}
	proof, err := p.Key.sign(payload)
	if err != nil {
		return "", fmt.Errorf("prove possession: %w", err)
	}
	return proof, nil
}

// Sign sets the Authorization header to the access token and the DPoP header to
// a new proof for it (RFC 9449 section 7.1), in place of those that were there. It
// does not look where the request goes.
func (p *Prover) Sign(req *http.Request, accessToken secret.Text) error {
	if accessToken.IsZero() {
		return errors.New("prove possession: no access token")
	}
	proof, err := p.Proof(req.Method, req.URL.String(), accessToken)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "DPoP "+accessToken.Reveal())
	req.Header.Set("DPoP", proof)
	return nil
}

// Learn remembers the nonce of a response for the origin that it came from, in
// place of the one before (RFC 9449 section 8.2). A response without a usable
// nonce changes nothing.
func (p *Prover) Learn(resp *http.Response) {
	nonce := Nonce(resp)
	if nonce == "" || resp.Request == nil || resp.Request.URL == nil {
		return
	}
	origin := originOf(resp.Request.URL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonces = slices.DeleteFunc(p.nonces, func(k known) bool { return k.origin == origin })
	if len(p.nonces) >= maxOrigins {
		p.nonces = p.nonces[:maxOrigins-1]
	}
	p.nonces = slices.Insert(p.nonces, 0, known{origin, nonce})
}

func (p *Prover) nonce(origin string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.nonces {
		if k.origin == origin {
			return k.nonce
		}
	}
	return ""
}

// Nonce returns the nonce that a response gives, and "" when it gives none that
// could be used: one header with 1*NQCHAR (RFC 9449 section 8.1) of at most 1 KiB.
func Nonce(resp *http.Response) string {
	values := resp.Header.Values("DPoP-Nonce")
	if len(values) != 1 || len(values[0]) > maxNonce {
		return ""
	}
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if strings.ContainsFunc(values[0], foreign) {
		return ""
	}
	return values[0]
}

// WantsNonce reports whether a protected resource refused the request for the
// lack of its nonce and gave one (RFC 9449 section 9): status 401, a DPoP challenge
// with error="use_dpop_nonce". Once Learn has seen the response, one more try is
// due, and not more than one.
func WantsNonce(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized || Nonce(resp) == "" {
		return false
	}
	list, err := discover.Challenges(resp.Header)
	return err == nil && slices.ContainsFunc(list, func(c discover.Challenge) bool {
		return c.Scheme == "dpop" && c.ErrorCode() == ErrorUseNonce
	})
}

// target is the "htu": what net/http sends, whose empty path is "/".
func target(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + u.Host + path
}

// originOf returns scheme, host and port with the default port spelled out: nonces
// are each server's own (RFC 9449 sections 8 and 9).
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
