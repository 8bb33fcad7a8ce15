package idjagtest

import (
	"html/template"
	"io"
	"slices"
)

// SignInPage is what a page shows. The form must be sent with POST to Action,
// with the hidden field "request" holding Request; "person" names the person
// (email or subject) and "password" proves it. A field "deny" cancels.
type SignInPage struct {
	Action  string
	Request string
	Client  string
	Choose  bool // offer People to click on; no password is asked for
	People  []Person
	Failed  bool // the last attempt had a wrong name or password
}

func plainPage() *template.Template {
	return template.Must(template.New("sign-in").Parse(`<!doctype html>
<meta charset="utf-8"><title>Sign in</title>
<h1>Sign in</h1>
{{if .Failed}}<p role="alert">The name or the password is wrong.</p>{{end}}
<form method="post" action="{{.Action}}"><input type="hidden" name="request" value="{{.Request}}">
{{if .Choose}}{{range .People}}<button name="person" value="{{.Subject}}">{{.Name}}</button>
{{end}}{{else}}<label>Email <input name="person" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button>{{end}}
<button name="deny" value="1">Cancel</button></form>
`))
}

func (p *IdP) showPage(c *call, id, client string, failed bool) {
	p.state.Lock()
	people := slices.Clone(p.people)
	p.state.Unlock()
	showSignIn(c, p.Page, SignInPage{Action: p.base() + "/sign-in", Request: id, Client: client, Choose: p.ChoosePerson, People: people, Failed: failed})
}

// showSignIn renders a sign-in page; render may be nil.
func showSignIn(c *call, render func(io.Writer, SignInPage), data SignInPage) {
	if render == nil {
		render = func(w io.Writer, data SignInPage) { plainPage().Execute(w, data) }
	}
	pageHeaders(c)
	render(c.w, data)
}

// pageHeaders sends the head of a page that must not be framed, kept or leaked.
func pageHeaders(c *call) {
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	// No form-action: browsers would apply it to the redirect to the client too.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	if c.entry.Status != 0 {
		c.w.WriteHeader(c.entry.Status)
	}
}
