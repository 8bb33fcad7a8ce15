package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// page is what a person sees when the browser comes back. Pages are constants:
// nothing of the request is ever shown (attack S13).
type page struct{ tone, sign, title, text string }

var (
	pageSignedIn = page{"good", "M20 33l8 8 16-18", "You are signed in",
		"You can close this tab and go back to what you were doing."}
	pageRefused = page{"bad", "M23 23l18 18M41 23L23 41", "You are not signed in",
		"The terminal in which you started says why, and what to do."}
	pageConnected = page{"good", "M20 33l8 8 16-18", "You are connected",
		"mcpauth may now use the server in your name, as far as you have agreed. You can close this tab and go back to what you were doing."}
	pageNotConnected = page{"bad", "M23 23l18 18M41 23L23 41", "You are not connected",
		"The terminal in which you started says why, and what to do."}
	pageStale = page{"odd", "M32 20v16M32 44v.5", "Please try again",
		"This page belongs to another sign-in, or to one that is over. Run <code>mcpauth login</code> and use the page that it opens."}
)

const style = `:root{color-scheme:light dark;--ink:#1d2430;--soft:#5b6676;--back:#f4f6f9;--card:#fff;--line:#e2e7ee;--good:#12805c;--bad:#b3372b;--odd:#8a6100}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#9aa6b6;--back:#12161d;--card:#1a202a;--line:#2b3442;--good:#4cc79b;--bad:#f0877c;--odd:#e0b252}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:26rem;padding:2.5rem 2.25rem 2rem;text-align:center;background:var(--card);border:1px solid var(--line);border-radius:1rem;box-shadow:0 1px 2px rgb(0 0 0/4%),0 12px 32px rgb(0 0 0/6%)}
svg{width:4rem;height:4rem;fill:none;stroke:currentColor;stroke-width:4;stroke-linecap:round;stroke-linejoin:round}
.good{color:var(--good)}.bad{color:var(--bad)}.odd{color:var(--odd)}
h1{margin:1rem 0 .5rem;font-size:1.375rem;font-weight:650;letter-spacing:-.01em}
p{margin:0;color:var(--soft)}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--ink)}
footer{margin-top:1.75rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.8125rem;color:var(--soft)}`

func (p page) html() string {
	return strings.NewReplacer("{style}", style, "{tone}", p.tone, "{sign}", p.sign, "{title}", p.title, "{text}", p.text).Replace(
		`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title} · mcpauth</title>
<style>{style}</style>
<main>
<svg class="{tone}" viewBox="0 0 64 64" aria-hidden="true"><circle cx="32" cy="32" r="28"/><path d="{sign}"/></svg>
<h1>{title}</h1>
<p>{text}</p>
<footer>mcpauth on this computer</footer>
</main>
</html>
`)
}

// head is that of every answer: none may be kept, framed or run, or tell another
// site where it came from, which holds the code (attack S13).
func head(h http.Header) {
	sum := sha256.Sum256([]byte(style))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close") // the listener is about to go away
}

// writePage sends a page whole, so that it has left when this returns.
func writePage(w http.ResponseWriter, status int, p page) {
	text := p.html()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}
