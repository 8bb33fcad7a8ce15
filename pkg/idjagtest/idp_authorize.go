package idjagtest

import (
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
	client, unknown := p.registered(c, c.form.Get("client_id"))
	if unknown != nil {
		return refuse("invalid_request", "client %q is not registered here", c.form.Get("client_id"))
	}
	if !redirectAllowed(client.RedirectURIs, c.form.Get("redirect_uri")) {
		return refuse("invalid_request", "redirect_uri %q is not registered for client %q", c.form.Get("redirect_uri"), client.ID)
	}
	c.entry.Client = client.ID
	if err := checkAuthorize(c.form); err != nil {
		return p.redirectError(c, p.Issuer, c.form, err)
	}
	if p.AutoApprove {
		who, ok := p.find(c.form.Get("login_hint"))
		if !ok {
			return p.redirectError(c, p.Issuer, c.form, refuse("access_denied", "nobody called %q may sign in", c.form.Get("login_hint")))
		}
		return p.approve(c, c.form, who)
	}
	if c.form.Get("prompt") == "none" {
		return p.redirectError(c, p.Issuer, c.form, refuse("login_required", "prompt is none and the browser has no session"))
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
	if err := checkCodeRequest(form); err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(form.Get("scope")), "openid") {
		return refuse("invalid_scope", "scope %q lacks openid", form.Get("scope"))
	}
	return unguessable(form, "nonce")
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
		return p.redirectError(c, p.Issuer, form, refuse("access_denied", "the person canceled"))
	}
	who, ok := p.find(c.form.Get("person"))
	if c.form.Get("person") == "" {
		ok = false
	}
	if ok && !p.ChoosePerson {
		ok = who.hasPassword(c.form.Get("password"))
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
	who, ok := findPerson(p.people, name)
	return who, ok && !p.gone[who.Subject]
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
	return p.redirect(c, p.Issuer, form, map[string]any{"code": value})
}

// remember keeps a session; the caller holds the lock.
func (p *IdP) remember(s *session) {
	if p.sessions == nil {
		p.sessions = map[string]*session{}
	}
	p.sessions[s.id] = s
}
