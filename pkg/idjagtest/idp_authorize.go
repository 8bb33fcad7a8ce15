package idjagtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// code is an authorization code: good once, for a minute, with the verifier and
// the redirect URI of its request.
type code struct {
	session   *session
	redirect  string
	challenge string
	expires   time.Time
	used      bool
}

// authorize answers the browser. Until client and redirect URI are known to be
// right nothing is sent back to the redirect URI (RFC 6749 section 4.1.2.1).
func (p *IdP) authorize(c *call) *refusal {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodPost {
		return refuse("invalid_request", "the method is %s", c.r.Method).as(http.StatusMethodNotAllowed)
	}
	client, known := p.client(c.form.Get("client_id"))
	if !known {
		return refuse("invalid_request", "client %q is not registered here", c.form.Get("client_id"))
	}
	if !redirectAllowed(client.RedirectURIs, c.form.Get("redirect_uri")) {
		return refuse("invalid_request", "redirect_uri %q is not registered for client %q", c.form.Get("redirect_uri"), client.ID)
	}
	c.entry.Client = client.ID
	if err := checkAuthorize(c.form); err != nil {
		return p.redirectError(c, c.form, err)
	}
	if p.AutoApprove {
		who, ok := p.find(c.form.Get("login_hint"))
		if !ok {
			return p.redirectError(c, c.form, refuse("access_denied", "nobody called %q may sign in", c.form.Get("login_hint")))
		}
		return p.approve(c, c.form, who)
	}
	if c.form.Get("prompt") == "none" {
		return p.redirectError(c, c.form, refuse("login_required", "prompt is none and the browser has no session"))
	}
	id := random()
	p.state.Lock()
	if p.pending == nil {
		p.pending = map[string]url.Values{}
	}
	p.pending[id] = c.form
	p.state.Unlock()
	c.entry.Status = http.StatusOK
	p.showPage(c, id, client.ID, false)
	return nil
}

// checkAuthorize holds a request to what this flow needs. state and nonce are
// optional in OAuth and OpenID Connect, but a client that leaves them out cannot
// do checks T6 and S12, so it is refused here.
func checkAuthorize(form url.Values) *refusal {
	if v := form.Get("response_type"); v != "code" {
		return refuse("unsupported_response_type", "response_type is %q, want code", v)
	}
	if !slices.Contains(strings.Fields(form.Get("scope")), "openid") {
		return refuse("invalid_scope", "scope %q lacks openid", form.Get("scope"))
	}
	if v := form.Get("code_challenge_method"); v != "S256" {
		return refuse("invalid_request", "code_challenge_method is %q, want S256", v)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(form.Get("code_challenge")); err != nil || len(raw) != sha256.Size {
		return refuse("invalid_request", "code_challenge is not the base64url of a SHA-256 sum")
	}
	for _, name := range []string{"state", "nonce"} {
		if len(form.Get(name)) < 16 {
			return refuse("invalid_request", "%s is missing or too short to be unguessable", name)
		}
	}
	return nil
}

// signIn takes the filled form.
func (p *IdP) signIn(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	id := c.form.Get("request")
	p.state.Lock()
	form, open := p.pending[id]
	p.state.Unlock()
	if !open {
		return refuse("invalid_request", "the sign-in form belongs to no open request")
	}
	if c.form.Has("deny") {
		p.settle(id)
		return p.redirectError(c, form, refuse("access_denied", "the person canceled"))
	}
	who, ok := p.find(c.form.Get("person"))
	if c.form.Get("person") == "" {
		ok = false
	}
	if ok && !p.ChoosePerson {
		ok = who.Password != "" && subtle.ConstantTimeCompare([]byte(who.Password), []byte(c.form.Get("password"))) == 1
	}
	if !ok {
		c.entry.Status, c.entry.Error, c.entry.Reason = http.StatusUnauthorized, "access_denied", "wrong name or password"
		p.showPage(c, id, form.Get("client_id"), true)
		return nil
	}
	if !p.settle(id) {
		return refuse("invalid_request", "the sign-in form was sent twice at once")
	}
	return p.approve(c, form, who)
}

// settle closes a pending request, once.
func (p *IdP) settle(id string) bool {
	p.state.Lock()
	defer p.state.Unlock()
	_, open := p.pending[id]
	delete(p.pending, id)
	return open
}

// find returns the person of that email or subject who has not left; an empty
// name means the first person.
func (p *IdP) find(name string) (Person, bool) {
	p.state.Lock()
	defer p.state.Unlock()
	for _, who := range p.people {
		if name == "" || name == who.Email || name == who.Subject {
			return who, !p.gone[who.Subject]
		}
	}
	return Person{}, false
}

// approve begins a session and sends the code back.
func (p *IdP) approve(c *call, form url.Values, who Person) *refusal {
	acr, _, _ := strings.Cut(form.Get("acr_values"), " ")
	s := &session{id: random(), person: who, client: form.Get("client_id"), nonce: form.Get("nonce"), acr: acr,
		scopes: strings.Fields(form.Get("scope")), authTime: p.Clock()}
	value := random()
	p.state.Lock()
	if p.codes == nil {
		p.codes = map[string]*code{}
	}
	p.codes[value] = &code{session: s, redirect: form.Get("redirect_uri"), challenge: form.Get("code_challenge"),
		expires: p.Clock().Add(time.Minute)}
	p.remember(s)
	p.state.Unlock()
	c.entry.Person = who.Subject
	return p.redirect(c, form, map[string]any{"code": value})
}

// remember keeps a session; the caller holds the lock.
func (p *IdP) remember(s *session) {
	if p.sessions == nil {
		p.sessions = map[string]*session{}
	}
	p.sessions[s.id] = s
}

// redirectError reports a refusal to the client's redirect URI.
func (p *IdP) redirectError(c *call, form url.Values, why *refusal) *refusal {
	c.entry.Error, c.entry.Reason = why.code, why.reason
	return p.redirect(c, form, map[string]any{"error": why.code, "error_description": why.description})
}

// redirect sends the browser back with state and iss (RFC 9207).
func (p *IdP) redirect(c *call, form url.Values, answer map[string]any) *refusal {
	answer["iss"] = p.Issuer
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
