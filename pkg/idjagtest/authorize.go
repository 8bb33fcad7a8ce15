package idjagtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"regexp"
)

// What the two authorization endpoints, of the IdP and of the AS, have in common.

// checkCodeRequest holds an authorization request to the code flow with PKCE S256
// (RFC 7636 section 4.4.1) and to a state that nobody can guess.
func checkCodeRequest(form url.Values) *refusal {
	if v := form.Get("response_type"); v != "code" {
		return refuse("unsupported_response_type", "response_type is %q, want code", v)
	}
	if v := form.Get("code_challenge_method"); v != "S256" {
		return refuse("invalid_request", "code_challenge_method is %q, want S256", v)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(form.Get("code_challenge")); err != nil || len(raw) != sha256.Size {
		return refuse("invalid_request", "code_challenge is not the base64url of a SHA-256 sum")
	}
	return unguessable(form, "state")
}

// unguessable refuses a parameter that is missing or short.
func unguessable(form url.Values, name string) *refusal {
	if len(form.Get(name)) < 16 {
		return refuse("invalid_request", "%s is missing or too short to be unguessable", name)
	}
	return nil
}

// challengeOf computes the code_challenge of the code_verifier in a token request
// (RFC 7636 section 4.6).
func challengeOf(c *call) (string, *refusal) {
	verifier, err := c.need("code_verifier")
	if err != nil {
		return "", err
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`).MatchString(verifier) {
		return "", refuse("invalid_request", "code_verifier is not 43 to 128 unreserved characters")
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// findPerson returns the person of that email or subject; an empty name means the
// first one.
func findPerson(people []Person, name string) (Person, bool) {
	for _, who := range people {
		if name == "" || name == who.Email || name == who.Subject {
			return who, true
		}
	}
	return Person{}, false
}

// hasPassword compares what was typed. Nobody signs in without a password.
func (who Person) hasPassword(typed string) bool {
	return who.Password != "" && subtle.ConstantTimeCompare([]byte(who.Password), []byte(typed)) == 1
}

// redirectError reports a refusal to the client's redirect URI.
func (p *Party) redirectError(c *call, issuer string, form url.Values, why *refusal) *refusal {
	c.entry.Error, c.entry.Reason = why.code, why.reason
	return p.redirect(c, issuer, form, map[string]any{"error": why.code, "error_description": why.description})
}

// redirect sends the browser back with state and iss (RFC 9207).
func (p *Party) redirect(c *call, issuer string, form url.Values, answer map[string]any) *refusal {
	answer["iss"] = issuer
	if state := form.Get("state"); state != "" {
		answer["state"] = state
	}
	for _, q := range p.quirksOn(Authorize) {
		if q.Body != nil {
			q.Body(answer)
		}
	}
	target, err := url.Parse(form.Get("redirect_uri"))
	if err != nil {
		return refuse("invalid_request", "redirect_uri is not a URL")
	}
	query := target.Query()
	for name, value := range answer {
		if s, ok := value.(string); ok {
			query.Set(name, s)
		}
	}
	target.RawQuery = query.Encode()
	c.w.Header().Set("Location", target.String())
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	c.entry.Status = http.StatusSeeOther // never replays the form (RFC 9700 section 4.12)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// redirectAllowed compares exactly, except that the port of a loopback literal
// is free (RFC 8252 section 7.3). "localhost" gets no such freedom.
func redirectAllowed(registered []string, got string) bool {
	if got == "" {
		return false
	}
	for _, want := range registered {
		if want == got {
			return true
		}
		w, err := url.Parse(want)
		g, err2 := url.Parse(got)
		if err != nil || err2 != nil || g.User != nil || g.Fragment != "" {
			continue
		}
		ip := net.ParseIP(w.Hostname())
		if w.Scheme == "http" && ip != nil && ip.IsLoopback() && g.Scheme == w.Scheme &&
			g.Hostname() == w.Hostname() && g.EscapedPath() == w.EscapedPath() && g.RawQuery == w.RawQuery {
			return true
		}
	}
	return false
}
