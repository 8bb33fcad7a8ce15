package company

import (
	"html/template"
	"io"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// showSignIn renders the sign-in page. It loads nothing from anywhere, which the
// Content-Security-Policy that the IdP sends would not allow either.
func showSignIn(w io.Writer, data idjagtest.SignInPage) {
	t := template.Must(template.New("sign-in").Funcs(template.FuncMap{
		"initial": func(name string) string { return name[:1] },
		"group":   func(p idjagtest.Person) string { return p.Groups[0] },
	}).Parse(signInPage))
	_ = t.Execute(w, data) // the only error is a browser that went away
}

const signInPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in to Acme</title>
<style>
  :root { --bg: #eef1f6; --card: #fff; --ink: #1b2330; --soft: #5c6675; --line: #d8dee8; --brand: #2f5bea; --note: #fff6db; --note-ink: #6b4e00; }
  @media (prefers-color-scheme: dark) {
    :root { --bg: #10141b; --card: #1a202b; --ink: #eef2f8; --soft: #9aa5b6; --line: #2e3747; --brand: #7d9bff; --note: #332a10; --note-ink: #f3d98b; }
  }
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
  .failed { margin-top: 1rem; color: #c22f2f; }
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
</style>
</head>
<body>
<main>
  <div class="logo"><span aria-hidden="true">A</span>Acme</div>
  <h1>Choose who you are</h1>
  <p>to continue to <strong>{{.Client}}</strong></p>
  {{if .Failed}}<p class="failed" role="alert">That person cannot sign in any more.</p>{{end}}
  <form method="post" action="{{.Action}}">
    <input type="hidden" name="request" value="{{.Request}}">
    {{range .People}}<button class="person" name="person" value="{{.Subject}}">
      <i aria-hidden="true">{{initial .Name}}</i><span><b>{{.Name}}</b><small>{{.Email}} · {{group .}}</small></span>
    </button>
    {{end}}<button class="cancel" name="deny" value="1">Cancel</button>
  </form>
  <p class="note"><strong>This is a practice company.</strong> It runs on your own computer, nobody needs a password, and nothing you do here leaves it.</p>
</main>
</body>
</html>
`
