package company

import (
	"html/template"
	"io"
	"net/url"
	"strings"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// The pages of Acme and of Globex load nothing from anywhere, which the
// Content-Security-Policy that the servers send would not allow either.

// signInPage renders the page on which a person says who they are.
func signInPage(brand string) func(io.Writer, idjagtest.SignInPage) {
	t := parsePage(brand, "Sign in to "+brand, signInBody)
	return func(w io.Writer, data idjagtest.SignInPage) { _ = t.Execute(w, data) } // the only error is a browser that went away
}

// agreePage renders the page on which a person says what a client may do. What the
// client says of itself is told apart from where its document is: anybody can
// choose a name, but not a host (section 6 of the CIMD draft).
func agreePage(brand string) func(io.Writer, idjagtest.ConsentPage) {
	t := parsePage(brand, "Allow access to "+brand, agreeBody)
	return func(w io.Writer, data idjagtest.ConsentPage) { _ = t.Execute(w, data) }
}

func parsePage(brand, title, body string) *template.Template {
	page := strings.NewReplacer("TITLE", title, "BRAND", brand).Replace(pageHead + body + pageFoot)
	return template.Must(template.New(title).Funcs(template.FuncMap{
		"initial": func(name string) string { return name[:1] },
		"host":    hostOf,
		"plainly": plainly,
	}).Parse(page))
}

// hostOf is the part of a URL that says whose it is; other names stay as they are.
func hostOf(name string) string {
	if u, err := url.Parse(name); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return name
}

// plainly is a scope in words; one without is its own.
func plainly(scope string) string {
	switch scope {
	case "parcels:read":
		return "See your parcels"
	case "offline_access":
		return "Stay connected"
	}
	return scope
}

const pageHead = `<!doctype html>
<html lang="en" class="BRAND">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>TITLE</title>
<style>
  :root { --bg: #eef1f6; --card: #fff; --ink: #1b2330; --soft: #5c6675; --line: #d8dee8; --brand: #2f5bea; --note: #fff6db; --note-ink: #6b4e00; --bad: #c22f2f; }
  @media (prefers-color-scheme: dark) {
    :root { --bg: #10141b; --card: #1a202b; --ink: #eef2f8; --soft: #9aa5b6; --line: #2e3747; --brand: #7d9bff; --note: #332a10; --note-ink: #f3d98b; --bad: #ff8a80; }
  }
  .Globex { --brand: #0b7a75; }
  @media (prefers-color-scheme: dark) { .Globex { --brand: #4fc9bd; } }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--bg); color: var(--ink);
         font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
  main { width: 100%; max-width: 25rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 2rem;
         box-shadow: 0 1rem 3rem rgb(0 0 0 / .08); }
  .logo { display: flex; align-items: center; gap: .6rem; font-weight: 700; letter-spacing: .02em; }
  .logo span { width: 2rem; height: 2rem; border-radius: .5rem; background: var(--brand); color: var(--card); display: grid; place-items: center; }
  h1 { font-size: 1.4rem; line-height: 1.25; margin: 1.5rem 0 .25rem; }
  p { margin: 0; color: var(--soft); }
  .note { margin-top: 1.5rem; padding: .7rem .9rem; border-radius: .6rem; background: var(--note); color: var(--note-ink); font-size: .875rem; text-wrap: pretty; }
  .failed { margin-top: 1rem; color: var(--bad); }
  form { margin-top: 1.5rem; display: grid; gap: .6rem; }
  button { font: inherit; color: inherit; cursor: pointer; border: 1px solid var(--line); border-radius: .7rem; background: transparent; padding: .7rem .8rem; }
  button:hover { border-color: var(--brand); }
  button:focus-visible { outline: 3px solid var(--brand); outline-offset: 2px; }
  .person { display: flex; align-items: center; gap: .8rem; text-align: left; }
  .person i { flex: none; width: 2.4rem; height: 2.4rem; border-radius: 50%; background: var(--brand); color: var(--card); display: grid;
              place-items: center; font-style: normal; font-weight: 700; }
  .person b, .person small { display: block; }
  .person small { color: var(--soft); }
  .cancel { border-color: transparent; color: var(--soft); }
  .primary { background: var(--brand); border-color: var(--brand); color: var(--card); font-weight: 600; }
  .client { margin-top: 1.5rem; padding: .8rem .9rem; border: 1px solid var(--line); border-radius: .7rem; }
  .client b, .client small { display: block; overflow-wrap: anywhere; }
  .client small { color: var(--soft); }
  h2 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
  ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .25rem; }
  li { display: grid; grid-template-columns: 1.5rem 1fr; }
  li::before { content: "✓"; color: var(--brand); font-weight: 700; }
  code { font: .8125rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--soft); overflow-wrap: anywhere; }
  .back { margin-top: .5rem; font-size: .875rem; text-align: center; }
</style>
</head>
<body>
<main>
  <div class="logo"><span aria-hidden="true">{{initial "BRAND"}}</span>BRAND</div>
`

const signInBody = `  <h1>Choose who you are</h1>
  <p>to continue to <strong>{{host .Client}}</strong></p>
  {{if .Failed}}<p class="failed" role="alert">That person cannot sign in any more.</p>{{end}}
  <form method="post" action="{{.Action}}">
    <input type="hidden" name="request" value="{{.Request}}">
    {{range .People}}<button class="person" name="person" value="{{.Subject}}">
      <i aria-hidden="true">{{initial .Name}}</i><span><b>{{.Name}}</b><small>{{.Email}}{{with .Groups}} · {{index . 0}}{{end}}</small></span>
    </button>
    {{end}}<button class="cancel" name="deny" value="1">Cancel</button>
  </form>
`

const agreeBody = `  <h1>Allow access?</h1>
  <p>A program asks to act for <strong>{{.Person.Name}}</strong>.</p>
  <div class="client"><b>{{or .Name "A program without a name"}}</b><small>of {{host .Client}}</small></div>
  <h2>It could</h2>
  <ul>
    {{range .Scopes}}<li><span>{{plainly .}} <code>{{.}}</code></span></li>
    {{end}}</ul>
  <form method="post" action="{{.Action}}">
    <input type="hidden" name="request" value="{{.Request}}">
    <button class="primary" name="agree" value="1">Allow</button>
    <button class="cancel" name="deny" value="1">Decline</button>
  </form>
  <p class="back">Afterwards you are back at {{host .Redirect}}.</p>
`

const pageFoot = `  <p class="note"><strong>This is a practice company.</strong> It runs on your own computer, and nothing you do here leaves it.</p>
</main>
</body>
</html>
`
