package idjagtest

import (
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// asking is an authorization request that waits for a person: first to sign in,
// then, under a new name that only the signed-in browser knows, to agree.
type asking struct {
	form     url.Values
	client   Client
	resource string
	scopes   []string
	person   *Person // nil until signed in
}

// ConsentPage is what the consent page shows. The form must be sent with POST to
// Action, with the hidden field "request" holding Request, and with a field
// "agree" or "deny". Name and Redirect are the client's own words.
type ConsentPage struct {
	Action   string
	Request  string
	Client   string // its ID
	Name     string // its client_name, may be empty
	Redirect string
	Person   Person
	Resource string
	Scopes   []string
}

func plainConsentPage() *template.Template {
	return template.Must(template.New("consent").Parse(`<!doctype html>
<meta charset="utf-8"><title>Allow access</title>
<h1>Allow access</h1>
<p>{{.Person.Name}}, {{or .Name "a program"}} ({{.Client}}) wants to use {{.Resource}} for you and will be told at {{.Redirect}}.</p>
<ul>{{range .Scopes}}<li>{{.}}{{end}}</ul>
<form method="post" action="{{.Action}}"><input type="hidden" name="request" value="{{.Request}}">
<button name="agree" value="1">Allow</button>
<button name="deny" value="1">Decline</button></form>
`))
}

// authorize answers the browser. Until client and redirect URI are known to be
// right nothing is sent back to the redirect URI (RFC 6749 section 4.1.2.1).
func (a *AS) authorize(c *call) *refusal {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodPost {
		return refuse("invalid_request", "the method is %s", c.r.Method).as(http.StatusMethodNotAllowed)
	}
	client, unknown := a.findClient(c, c.form.Get("client_id"))
	if unknown != nil {
		return unknown.as(http.StatusBadRequest) // a page for the person, not an answer to a client
	}
	if !redirectAllowed(client.RedirectURIs, c.form.Get("redirect_uri")) {
		return refuse("invalid_request", "redirect_uri %q is not registered for client %q", c.form.Get("redirect_uri"), client.ID)
	}
	c.entry.Client = client.ID
	asked, err := a.checkAsking(c, client)
	if err != nil {
		return a.redirectError(c, a.Issuer, c.form, err)
	}
	if a.AutoApprove {
		who, ok := a.find(c.form.Get("login_hint"))
		if !ok {
			return a.redirectError(c, a.Issuer, c.form, refuse("access_denied", "nobody called %q may sign in", c.form.Get("login_hint")))
		}
		asked.person = &who
		return a.consented(c, asked)
	}
	if c.form.Get("prompt") == "none" {
		return a.redirectError(c, a.Issuer, c.form, refuse("login_required", "prompt is none and the browser has no session"))
	}
	c.entry.Status = http.StatusOK
	a.showSignIn(c, a.remember(asked), asked, false)
	return nil
}

// checkAsking reads an authorization request. state is optional in OAuth, but a
// client that leaves it out cannot do check S12, so it is refused here.
func (a *AS) checkAsking(c *call, client Client) (*asking, *refusal) {
	if !client.mayUse(grantCodeFlow) {
		return nil, refuse("unauthorized_client", "client %q may not use grant type %q", client.ID, grantCodeFlow)
	}
	if err := checkCodeRequest(c.form); err != nil {
		return nil, err
	}
	resource, err := a.wantedResource(c)
	if err != nil {
		return nil, err
	}
	var also []string
	if a.OfflineAccess {
		also = []string{"offline_access"}
	}
	scopes, err := a.wantedScopes(c, resource, also...)
	if err != nil {
		return nil, err
	}
	return &asking{form: c.form, client: client, resource: resource, scopes: scopes}, nil
}

// remember keeps an open request and returns its new name.
func (a *AS) remember(asked *asking) string {
	id := random()
	a.state.Lock()
	defer a.state.Unlock()
	if a.pending == nil {
		a.pending = map[string]*asking{}
	}
	a.pending[id] = asked
	return id
}

// open finds the request that a form of one of the two pages belongs to.
func (a *AS) open(c *call, signedIn bool) (*asking, *refusal) {
	if err := c.mustBeForm(); err != nil {
		return nil, err
	}
	a.state.Lock()
	defer a.state.Unlock()
	asked := a.pending[c.form.Get("request")]
	if asked == nil || (asked.person != nil) != signedIn {
		return nil, refuse("invalid_request", "the form belongs to no open request")
	}
	return asked, nil
}

// settle closes a pending request, once.
func (a *AS) settle(c *call) *refusal {
	a.state.Lock()
	defer a.state.Unlock()
	id := c.form.Get("request")
	if a.pending[id] == nil {
		return refuse("invalid_request", "the form was sent twice at once")
	}
	delete(a.pending, id)
	return nil
}

func (a *AS) find(name string) (Person, bool) {
	a.state.Lock()
	defer a.state.Unlock()
	return findPerson(a.people, name)
}

// signIn takes the filled sign-in form and shows the consent page.
func (a *AS) signIn(c *call) *refusal {
	asked, err := a.open(c, false)
	if err != nil {
		return err
	}
	if c.form.Has("deny") {
		return a.declined(c, asked)
	}
	who, ok := a.find(c.form.Get("person"))
	if c.form.Get("person") == "" || (!a.ChoosePerson && !who.hasPassword(c.form.Get("password"))) {
		ok = false
	}
	if !ok {
		c.entry.Status, c.entry.Error, c.entry.Reason = http.StatusUnauthorized, "access_denied", "wrong name or password"
		a.showSignIn(c, c.form.Get("request"), asked, true)
		return nil
	}
	if err := a.settle(c); err != nil {
		return err
	}
	next := *asked
	next.person = &who
	c.entry.Person, c.entry.Client = who.Subject, asked.client.ID
	a.showConsent(c, a.remember(&next), &next)
	return nil
}

// agree takes the answer to the consent page.
func (a *AS) agree(c *call) *refusal {
	asked, err := a.open(c, true)
	if err != nil {
		return err
	}
	c.entry.Person, c.entry.Client = asked.person.Subject, asked.client.ID
	switch {
	case c.form.Has("deny"):
		return a.declined(c, asked)
	case !c.form.Has("agree"):
		return refuse("invalid_request", "the form neither agrees nor declines")
	}
	if err := a.settle(c); err != nil {
		return err
	}
	return a.consented(c, asked)
}

func (a *AS) declined(c *call, asked *asking) *refusal {
	if err := a.settle(c); err != nil {
		return err
	}
	return a.redirectError(c, a.Issuer, asked.form, refuse("access_denied", "the person declined"))
}

// consented sends the code back.
func (a *AS) consented(c *call, asked *asking) *refusal {
	s := &consent{person: *asked.person, client: asked.client.ID, resource: asked.resource, scopes: asked.scopes}
	s.refresh = asked.client.mayUse(grantRefreshing) && (a.AlwaysRefresh || slices.Contains(asked.scopes, "offline_access"))
	value := random()
	a.state.Lock()
	if a.codes == nil {
		a.codes = map[string]*grantCode{}
	}
	a.consents = append(a.consents, s)
	a.codes[value] = &grantCode{consent: s, redirect: asked.form.Get("redirect_uri"), challenge: asked.form.Get("code_challenge"),
		jkt: asked.form.Get("dpop_jkt"), expires: a.Clock().Add(time.Minute)}
	a.state.Unlock()
	c.entry.Person, c.entry.Resource = s.person.Subject, s.resource
	return a.redirect(c, a.Issuer, asked.form, map[string]any{"code": value})
}

func (a *AS) showSignIn(c *call, id string, asked *asking, failed bool) {
	a.state.Lock()
	people := slices.Clone(a.people)
	a.state.Unlock()
	showSignIn(c, a.Page, SignInPage{Action: a.base() + "/sign-in", Request: id, Client: asked.client.ID,
		Choose: a.ChoosePerson, People: people, Failed: failed})
}

func (a *AS) showConsent(c *call, id string, asked *asking) {
	render := a.AgreePage
	if render == nil {
		render = func(w io.Writer, data ConsentPage) { plainConsentPage().Execute(w, data) }
	}
	pageHeaders(c)
	render(c.w, ConsentPage{Action: a.base() + "/consent", Request: id, Client: asked.client.ID, Name: asked.client.Name,
		Redirect: asked.form.Get("redirect_uri"), Person: *asked.person, Resource: asked.resource, Scopes: asked.scopes})
}
