package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/deliver/clients"
	"github.com/mcpauth/mcpauth/internal/deliver/proxy"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Exit codes. They are a promise to scripts; no other file knows them.
const (
	exitOK         = 0
	exitUnexpected = 1
	exitUsage      = 2 // usage or configuration
	exitSignIn     = 3 // sign-in needed
	exitRefused    = 4 // refused by company policy
	exitStronger   = 5 // stronger sign-in needed
	exitNetwork    = 6 // network or temporary
	exitBroken     = 7 // identity provider or server misconfigured
	exitSecurity   = 8 // stopped for security
)

// report is an error for people and for programs.
type report struct {
	Exit    int
	Code    string // for programs: an OAuth error code or a word of ours
	Stage   stage.Stage
	Server  string
	Message string
	SaysWho string // a remote party …
	Says    string // … and its words, not cleaned
	Facts   []string
	Hints   []string // things to type, or whom to ask for what
}

// explain is the one place that knows what an error means to a person: its hint
// and its exit code (protocol table 2.4).
func explain(err error) report {
	r := report{Exit: exitUnexpected, Code: "unexpected", Message: err.Error()}
	var at *stage.Error
	if errors.As(err, &at) {
		r.Stage, r.Server = at.Stage, at.Server
	} else {
		at = &stage.Error{}
	}
	var oauth *endpoint.Error
	if errors.As(err, &oauth) {
		r.oauth(at, oauth)
		var remembered *token.Remembered
		if errors.As(err, &remembered) {
			r.Hints = append(r.Hints, "this was the answer at "+remembered.When.Local().Format(time.TimeOnly)+"; to ask again: mcpauth token "+at.Server+" --fresh")
		}
		return r
	}
	for _, known := range []func(error, *stage.Error, *report) bool{
		explainFiles, explainUsage, explainMode, explainClient, explainIdentity, explainChecks, explainDiscovery, explainStorage, explainNetwork,
	} {
		if known(err, at, &r) {
			return r
		}
	}
	return r
}

func (r *report) is(exit int, code string, hints ...string) bool {
	r.Exit, r.Code, r.Hints = exit, code, append(r.Hints, hints...)
	return true
}

func explainUsage(err error, _ *stage.Error, r *report) bool {
	var usage *usageError
	var unconfigured *config.UnconfiguredURL
	var changed *token.Changed
	var undecided *token.Undecided
	var wrong *wrongURL
	var foreign *clients.Foreign
	var unsafe *ownfile.Unsafe
	var unlistenable *proxy.Unlistenable
	var redirected *proxy.Redirected
	switch {
	case errors.As(err, &unlistenable):
		return r.is(exitUsage, "cannot_listen", "mcpauth proxy")
	case errors.As(err, &redirected):
		return r.is(exitBroken, "redirect", "the server's owner has to publish its final URL; then: mcpauth server add NAME URL --client-id ID")
	case errors.As(err, &wrong):
		// No hint to add it: who wrote that URL may be who wants the token.
		return r.is(exitSecurity, "wrong_url", "correct the URL in the MCP client's configuration")
	case errors.As(err, &usage):
		if r.is(exitUsage, "usage"); usage.hint != "" {
			r.Hints = []string{usage.hint}
		}
		return true
	case errors.As(err, &unconfigured):
		return r.is(exitUsage, "unknown_server", "mcpauth server add NAME "+bare(unconfigured.URL)+" --client-id ID")
	case isAny[*config.UnknownServer](err), isAny[*config.AmbiguousURL](err):
		return r.is(exitUsage, "unknown_server", "mcpauth server list")
	case errors.As(err, &foreign):
		return r.is(exitUsage, "foreign_entry", "to replace it and keep a copy of the file: mcpauth setup "+foreign.Client+" "+foreign.Server+" --force")
	case isAny[*clients.Uneditable](err), isAny[*clients.NoFile](err):
		return r.is(exitUsage, "client_file")
	case isAny[*config.NoIdP](err):
		return r.is(exitUsage, "no_idp", "mcpauth login --issuer https://your-company.example --client-id ID")
	case isAny[*config.UnknownIdP](err), isAny[*config.AmbiguousIdP](err):
		return r.is(exitUsage, "unknown_idp", "mcpauth status")
	case isAny[*config.Error](err):
		return r.is(exitUsage, "configuration")
	case errors.As(err, &unsafe):
		return r.is(exitUsage, "configuration", "look at it: ls -ld "+unsafe.Path)
	case errors.As(err, &changed):
		if changed.ByConfig {
			return r.is(exitSecurity, "authorization_server_changed", "if your company says that this is right, change mcpServers."+changed.Server+".oauth.issuer in the configuration")
		}
		return r.is(exitSecurity, "authorization_server_changed", "if your company says that this is right: mcpauth server trust "+changed.Server)
	case errors.As(err, &undecided):
		return r.is(exitUsage, "authorization_server_undecided", "choose one: set mcpServers."+undecided.Server+".oauth.issuer, or add the server with --issuer")
	case errors.Is(err, clientauth.ErrNoMethod):
		return r.is(exitUsage, "client_authentication", "ask whoever registered the client which secret or key belongs to it")
	}
	return false
}

func explainIdentity(err error, at *stage.Error, r *report) bool {
	var out *identity.SignedOut
	var untrusted *identity.Untrusted
	var refused *signin.Refused
	var port *signin.PortBusy
	switch {
	case isAny[*tooManyWindows](err):
		return r.is(exitSignIn, "too_many_windows", "end what keeps opening them, or sign in without one: mcpauth login --no-browser")
	case errors.As(err, &out):
		r.Message = out.Why
		return r.is(exitSignIn, "signed_out", login(out.IdP))
	case errors.As(err, &untrusted):
		r.Message = untrusted.Error()
		switch untrusted.Rule {
		case "T5":
			return r.is(exitSignIn, "id_token_times", "compare this computer's clock, then: mcpauth login")
		case "T4":
			return r.is(exitSecurity, "id_token", "use an ID token that was issued to this client, or correct the client id")
		}
		return r.is(exitSecurity, "id_token")
	case isAny[*identity.Weak](err):
		return r.is(exitStronger, "weak_sign_in", "ask your administrator why no fresh sign-in is possible")
	case errors.As(err, &refused):
		r.SaysWho, r.Says = "the identity provider", refused.Description
		return r.signInRefused(refused.Code)
	case isAny[*signin.Forged](err):
		return r.is(exitSecurity, "sign_in_answer", "close the other sign-in pages and try again: mcpauth login")
	case errors.As(err, &port):
		return r.is(exitUsage, "port_in_use", fmt.Sprintf("end the program that uses port %d, or come back to another registered port: mcpauth login --redirect-port PORT", port.Port))
	case at.Stage == stage.Login && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, vault.ErrTimeout):
		r.Message = "nobody finished the sign-in in time"
		return r.is(exitSignIn, "sign_in_timeout", "mcpauth login --timeout 10m")
	}
	return false
}

func login(idp string) string {
	if idp == "" || idp == config.DefaultIdP {
		return "mcpauth login"
	}
	return "mcpauth login --idp " + idp
}

func (r *report) signInRefused(code string) bool {
	switch code {
	case "access_denied":
		r.Message = "you are not signed in: the sign-in was cancelled, or your company does not let you use mcpauth"
		return r.is(exitRefused, code, "try again: mcpauth login", "or ask your administrator to assign you to the mcpauth application")
	case "unmet_authentication_requirements":
		r.Message = "the identity provider cannot give the sign-in strength that was asked for"
		return r.is(exitStronger, code)
	case "server_error", "temporarily_unavailable":
		return r.is(exitNetwork, code, "try again in a moment: mcpauth login")
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return r.is(exitSignIn, code, "mcpauth login --prompt login")
	}
	return r.is(exitBroken, code, "show your administrator the client's settings at the identity provider: redirect URI http://127.0.0.1/callback, PKCE, scopes")
}

func explainChecks(err error, at *stage.Error, r *report) bool {
	var check *idjag.CheckError
	if !errors.As(err, &check) {
		return false
	}
	who := "the identity provider"
	if strings.HasPrefix(check.Rule, "A") {
		who = "the authorization server"
	}
	r.Message = who + " sent something unusable: " + check.Error()
	r.Facts = facts(at)
	exit := exitBroken
	if check.Security {
		exit = exitSecurity
	}
	switch check.Rule {
	case "X6":
		return r.is(exit, "wrong_audience", "your identity provider's administrator has to correct the audience of this server's connection")
	case "X7":
		return r.is(exit, "wrong_client", "your identity provider's administrator has to map this server to the client id "+at.ASClientID+", or the configuration has the wrong one")
	case "X8":
		return r.is(exit, "wrong_resource", "your identity provider's administrator has to correct the resource of this server's connection")
	case "X9":
		return r.is(exit, "wrong_times", "compare this computer's clock with the right time")
	case "X11":
		return r.is(exitRefused, "scopes_missing", "ask your administrator to allow these scopes")
	}
	return r.is(exit, "unusable_answer", "show this to the administrator of "+who)
}

func explainDiscovery(err error, at *stage.Error, r *report) bool {
	var issuer *discover.IssuerMismatch
	var resource *discover.ResourceMismatch
	var malformed *discover.Malformed
	var status *discover.StatusError
	var none *discover.NotFound
	switch {
	case errors.As(err, &issuer):
		if strings.TrimSuffix(issuer.Got, "/") == strings.TrimSuffix(issuer.Want, "/") {
			return r.is(exitSecurity, "wrong_issuer", "the issuer must be written exactly as it is published: "+issuer.Got)
		}
		return r.is(exitSecurity, "wrong_issuer", "do not go on; tell the owner of "+host(issuer.Want))
	case errors.As(err, &resource):
		return r.is(exitSecurity, "wrong_resource", "check the server's URL; if it is right, tell its owner that its metadata describes another server")
	case errors.As(err, &malformed):
		if malformed.WebPage {
			return r.is(exitNetwork, "web_page", "is a proxy or a hotel network in the way? open "+malformed.URL+" in a browser")
		}
		return r.is(exitBroken, "metadata", "tell the owner of "+host(malformed.URL))
	case errors.As(err, &none):
		if at.Stage == stage.ResourceMetadata {
			return r.is(exitBroken, "no_metadata", "check the server's URL; if it is right, the server's owner has to publish RFC 9728 metadata")
		}
		return r.is(exitBroken, "no_metadata", "check the issuer: "+at.IdP+at.AS)
	case errors.As(err, &status):
		if status.Status >= 500 || status.Status == 429 {
			return r.is(exitNetwork, "unavailable", "try again in a moment")
		}
		return r.is(exitBroken, "metadata", "tell the owner of "+host(status.URL))
	}
	return false
}

func explainStorage(err error, _ *stage.Error, r *report) bool {
	var busy *state.Busy
	var newer *state.Newer
	var unusable *state.Unusable
	var file *fs.PathError
	switch {
	case errors.Is(err, vault.ErrLocked):
		return r.is(exitNetwork, "keychain_locked", "unlock your keychain and try again")
	case errors.Is(err, vault.ErrTimeout):
		return r.is(exitNetwork, "keychain_timeout", "answer the keychain's question, or unlock it, and try again")
	case errors.Is(err, vault.ErrUnavailable):
		return r.is(exitUsage, "keychain_unavailable", "without a keychain: mcpauth login --store file --store-key-file ~/.config/mcpauth/store.key")
	case errors.Is(err, vault.ErrRefused):
		return r.is(exitUsage, "store_refused", "check that the key or passphrase file is the one this sign-in was made with, or sign in again: mcpauth login")
	case errors.Is(err, vault.ErrNotFound):
		return r.is(exitSignIn, "signed_out", "mcpauth login")
	case errors.As(err, &busy):
		return r.is(exitNetwork, "busy", "another mcpauth is at work; try again in a moment")
	case errors.As(err, &newer):
		return r.is(exitUsage, "newer_state", "install the newer mcpauth again")
	case errors.As(err, &unusable):
		return r.is(exitUsage, "unusable_file", "look at the file: ls -l "+unusable.Path)
	case errors.As(err, &file) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
		return r.is(exitUsage, "unusable_file", "look at the file: ls -l "+file.Path)
	case errors.As(err, &file) && file.Path != os.Stdout.Name(): // a full disk, a read-only one
		return r.is(exitUsage, "unusable_folder", "can this folder be written, and is there space? df "+filepath.Dir(file.Path))
	}
	return false
}

// facts are what an administrator needs to know of a failed exchange or redemption.
func facts(at *stage.Error) (list []string) {
	for _, f := range [][2]string{
		{"identity provider", at.IdP}, {"client there", at.IdPClientID},
		{"authorization server", at.AS}, {"client there", at.ASClientID},
		{"resource", at.Resource}, {"scopes asked for", strings.Join(at.Scopes, " ")},
	} {
		if f[1] != "" {
			list = append(list, fmt.Sprintf("%-21s %s", f[0]+":", f[1]))
		}
	}
	return list
}

// bare is a URL without what might be a secret in it.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
