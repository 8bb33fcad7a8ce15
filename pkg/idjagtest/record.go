package idjagtest

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Request is what a fake remembers of one request. It holds no secret: the
// values of secret parameters are replaced by their Digest.
type Request struct {
	Time   time.Time
	What   string // see the constants Metadata, Exchange, ...
	Method string
	Path   string
	Form   url.Values // query, form or members of a registration, secrets as digests

	Client     string // the authenticated client, else empty
	AuthMethod string // how it authenticated
	Thumbprint string // of the key whose DPoP proof was accepted, else empty
	Person     string // subject the request was about, when known
	Audience   string // exchange: the audience asked for
	Resource   string // the resource asked for, or the one that was called
	UserAgent  string

	Status int      // 0 while the request is still open, and after a reset
	Error  string   // OAuth error code of a refusal
	Reason string   // why it was refused, or which fault struck
	Notes  []string // bad habits that the specification makes a server forgive
}

// Values of Request.What, which are also the names that Count, SetFault and
// Quirk.On take.
const (
	Metadata          = "metadata" // the metadata document of whichever party
	JWKS              = "jwks"
	Authorize         = "authorize"
	SignInForm        = "sign-in"  // the filled sign-in form
	ConsentForm       = "consent"  // the answer to an AS's consent page
	Code              = "code"     // token endpoint: authorization_code
	Refresh           = "refresh"  // token endpoint: refresh_token
	Exchange          = "exchange" // token endpoint: token-exchange
	Redeem            = "redeem"   // token endpoint: jwt-bearer
	Workload          = "workload" // token endpoint: jwt-bearer with the JWT of a platform that the AS trusts
	OtherGrant        = "other-grant"
	ClientCredentials = "client-credentials" // token endpoint
	Revoke            = "revoke"
	Register          = "register" // RFC 7591 registration at the AS
	Call              = "call"     // a request to the MCP server itself
	Unknown           = "unknown"  // a path that the party does not have
)

// Token matches every request to a token endpoint, whatever its grant.
const Token = "token"

// String describes the request on one line, for a failing test's log.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s: %d", r.What, r.Method, r.Path, r.Status)
	if r.Client != "" {
		fmt.Fprintf(&b, " client=%q by %s", r.Client, r.AuthMethod)
	}
	if r.Person != "" {
		fmt.Fprintf(&b, " person=%q", r.Person)
	}
	if r.Error != "" || r.Reason != "" {
		fmt.Fprintf(&b, " %s: %s", r.Error, r.Reason)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "; note: %s", note)
	}
	return b.String()
}

// matches reports whether the request is of the kind what. Token stands for all
// grants.
func (r Request) matches(what string) bool { return sameKind(r.What, what) }

func sameKind(have, want string) bool {
	if want == Token {
		switch have {
		case Code, Refresh, Exchange, Redeem, Workload, ClientCredentials, OtherGrant:
			return true
		}
	}
	return have == want
}

// Requests returns a copy of the record, oldest first. Requests still being
// answered are in it.
func (p *Party) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Request, len(p.requests))
	for i, r := range p.requests {
		list[i] = *r
	}
	return list
}

// Count returns how many requests of a kind have arrived, whatever became of
// them. Count(Token) counts all grants.
func (p *Party) Count(what string) int {
	n := 0
	for _, r := range p.Requests() {
		if r.matches(what) {
			n++
		}
	}
	return n
}

// Granted returns how many requests of a kind were answered with a status below
// 400.
func (p *Party) Granted(what string) int {
	n := 0
	for _, r := range p.Requests() {
		if r.matches(what) && r.Status > 0 && r.Status < 400 {
			n++
		}
	}
	return n
}

// Refusals returns the requests that were refused. Print them when a test fails:
// Reason says what was wrong.
func (p *Party) Refusals() []Request {
	var list []Request
	for _, r := range p.Requests() {
		if r.Reason != "" {
			list = append(list, r)
		}
	}
	return list
}

// ForgetRequests empties the record.
func (p *Party) ForgetRequests() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// Digest is what stands in a Request for a secret value, so that a test can ask
// whether two requests carried the same one.
func Digest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return fmt.Sprintf("sha256:%x", sum[:8])
}

// withoutSecrets copies a form and digests what must not be kept.
func withoutSecrets(form url.Values) url.Values {
	kept := url.Values{}
	for name, values := range form {
		for _, v := range values {
			switch name {
			case "client_secret", "client_assertion", "subject_token", "actor_token", "assertion",
				"refresh_token", "code", "code_verifier", "token", "password", "request", "access_token":
				v = Digest(v)
			}
			kept.Add(name, v)
		}
	}
	return kept
}
