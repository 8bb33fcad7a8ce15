package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// parties are those of every failure in these tests.
var parties = stage.Parties{
	Server: "wiki", Resource: "https://wiki.example/mcp", IdP: "https://acme.okta.example", IdPClientID: "at-idp",
	AS: "https://as.example", ASClientID: "at-as", Scopes: []string{"read"},
}

// oauthError is a refusal of a token endpoint; status 0 stands for the usual one.
func oauthError(code string, status int) *endpoint.Error {
	if status == 0 {
		status = 400
	}
	return &endpoint.Error{Endpoint: "https://acme.okta.example/token", Status: status, Code: code, MaxAge: -1}
}

// Protocol table 2.4, row by row.
func TestExplainRefusals(t *testing.T) {
	for _, test := range []struct {
		stage  stage.Stage
		code   string
		status int
		exit   int
		hint   string // a part of one
	}{
		{stage.Exchange, "invalid_grant", 0, exitSignIn, "mcpauth login"},
		{stage.Exchange, "invalid_request", 0, exitBroken, "oauth.sendResource"},
		{stage.Exchange, "access_denied", 403, exitRefused, "ask your administrator for access to https://wiki.example/mcp"},
		{stage.Exchange, "invalid_target", 0, exitRefused, "give these values to your administrator"},
		{stage.Exchange, "invalid_scope", 0, exitRefused, "mcpauth token wiki --scope SCOPE"},
		{stage.Exchange, "unauthorized_client", 0, exitBroken, "for the client at-idp"},
		{stage.Exchange, "unsupported_grant_type", 0, exitBroken, "turn on cross-app access"},
		{stage.Exchange, "unsupported_token_type", 0, exitBroken, "turn on cross-app access"},
		{stage.Exchange, "invalid_client", 401, exitBroken, "mcpauth login --client-secret-stdin"},
		{stage.Exchange, "insufficient_user_authentication", 0, exitStronger, "mcpauth login"},
		{stage.Exchange, "login_required", 0, exitSignIn, "mcpauth login"},
		{stage.Exchange, "account_selection_required", 0, exitSignIn, "mcpauth login"},
		{stage.Exchange, "interaction_required", 0, exitStronger, "--prompt login"},
		{stage.Exchange, "consent_required", 0, exitStronger, "--prompt login"},
		{stage.Exchange, "mfa_required", 0, exitStronger, "--prompt login"},
		{stage.Exchange, "temporarily_unavailable", 503, exitNetwork, "try again"},
		{stage.Exchange, "server_error", 500, exitNetwork, "try again"},
		{stage.Exchange, "anything", 429, exitNetwork, "try again"},
		{stage.Exchange, "", 500, exitNetwork, "try again"},
		{stage.Exchange, "", 404, exitBroken, "is the address right? https://acme.okta.example/token"},
		{stage.Exchange, "no_such_code", 0, exitBroken, "show this to your administrator"},
		// A decision stays one, whatever status it comes with.
		{stage.Exchange, "access_denied", 500, exitRefused, "ask your administrator"},
		// Codes compare exactly.
		{stage.Exchange, "Access_Denied", 0, exitBroken, "show this to your administrator"},

		{stage.Redeem, "invalid_grant", 0, exitBroken, "the owner of wiki has to trust https://acme.okta.example"},
		{stage.Redeem, "invalid_client", 401, exitBroken, "client at-as"},
		{stage.Redeem, "unauthorized_client", 0, exitBroken, "the owner of wiki has to turn it on"},
		{stage.Redeem, "unsupported_grant_type", 0, exitBroken, "the owner of wiki has to turn it on"},
		{stage.Redeem, "invalid_target", 0, exitBroken, "oauth.sendResource"},
		{stage.Redeem, "invalid_scope", 0, exitRefused, "--scope SCOPE"},
		{stage.Redeem, "access_denied", 0, exitRefused, "ask the owner of wiki"},
		{stage.Redeem, "insufficient_user_authentication", 0, exitStronger, "mcpauth login"},
		{stage.Redeem, "invalid_dpop_proof", 0, exitBroken, "show this to the owner of wiki"},
		{stage.Redeem, "server_error", 500, exitNetwork, "try again"},

		{stage.Login, "invalid_grant", 0, exitSignIn, "mcpauth login"},
		{stage.Login, "invalid_client", 401, exitBroken, "belongs to the client at-idp"},
		{stage.Login, "unauthorized_client", 0, exitBroken, "belongs to the client at-idp"},
		{stage.Login, "access_denied", 0, exitRefused, "mcpauth login"},
		{stage.Login, "no_such_code", 0, exitBroken, "show this to your administrator"},
		{stage.Renewal, "invalid_client", 401, exitBroken, "belongs to the client at-idp"},
	} {
		t.Run(fmt.Sprintf("%s/%s/%d", test.stage, test.code, test.status), func(t *testing.T) {
			err := fmt.Errorf("get a token: %w", stage.At(test.stage, parties, oauthError(test.code, test.status)))
			r := explain(err)
			if r.Exit != test.exit {
				t.Errorf("exit code %d, want %d", r.Exit, test.exit)
			}
			if all := strings.Join(r.Hints, "\n"); !strings.Contains(all, test.hint) {
				t.Errorf("hints %q lack %q", all, test.hint)
			}
			if r.Stage != test.stage || r.Server != "wiki" || r.Code == "" || r.Message == "" {
				t.Errorf("the report is incomplete: %+v", r)
			}
		})
	}
}

// Everything else that a command can end with.
func TestExplainOthers(t *testing.T) {
	at := func(s stage.Stage, err error) error { return stage.At(s, parties, err) }
	for name, test := range map[string]struct {
		err  error
		exit int
		code string
	}{
		"usage":            {&usageError{text: "no"}, exitUsage, "usage"},
		"unknown server":   {&config.UnknownServer{Name: "x"}, exitUsage, "unknown_server"},
		"unconfigured URL": {&config.UnconfiguredURL{URL: "https://x.example"}, exitUsage, "unknown_server"},
		"ambiguous URL":    {&config.AmbiguousURL{}, exitUsage, "unknown_server"},
		"no IdP":           {&config.NoIdP{}, exitUsage, "no_idp"},
		"unknown IdP":      {&config.UnknownIdP{Name: "x"}, exitUsage, "unknown_idp"},
		"ambiguous IdP":    {&config.AmbiguousIdP{}, exitUsage, "unknown_idp"},
		"configuration":    {&config.Error{Where: "f:1:1", Why: "no"}, exitUsage, "configuration"},
		"missing file":     {&fs.PathError{Op: "open", Path: "f", Err: fs.ErrNotExist}, exitUsage, "unusable_file"},
		"wrong URL":        {&wrongURL{server: "wiki", url: "https://evil.example"}, exitSecurity, "wrong_url"},
		"changed AS":       {&token.Changed{Server: "wiki"}, exitSecurity, "authorization_server_changed"},
		"undecided AS":     {&token.Undecided{Server: "wiki"}, exitUsage, "authorization_server_undecided"},
		"no client secret": {clientauth.ErrNoMethod, exitUsage, "client_authentication"},

		"signed out":     {&identity.SignedOut{Why: "you are not signed in"}, exitSignIn, "signed_out"},
		"T5":             {&identity.Untrusted{Rule: "T5"}, exitSignIn, "id_token_times"},
		"T3":             {&identity.Untrusted{Rule: "T3"}, exitSecurity, "id_token"},
		"T4":             {&identity.Untrusted{Rule: "T4"}, exitSecurity, "id_token"},
		"weak":           {&identity.Weak{What: "weak"}, exitStronger, "weak_sign_in"},
		"denied":         {&signin.Refused{Code: "access_denied"}, exitRefused, "access_denied"},
		"acr not met":    {&signin.Refused{Code: "unmet_authentication_requirements"}, exitStronger, "unmet_authentication_requirements"},
		"login required": {&signin.Refused{Code: "login_required"}, exitSignIn, "login_required"},
		"IdP is down":    {&signin.Refused{Code: "server_error"}, exitNetwork, "server_error"},
		"other refusal":  {&signin.Refused{Code: "invalid_scope"}, exitBroken, "invalid_scope"},
		"forged":         {&signin.Forged{Why: "no"}, exitSecurity, "sign_in_answer"},
		"port":           {&signin.PortBusy{Port: 1}, exitUsage, "port_in_use"},
		"nobody came":    {at(stage.Login, context.DeadlineExceeded), exitSignIn, "sign_in_timeout"},

		"X6":          {at(stage.Exchange, &idjag.CheckError{Rule: "X6"}), exitBroken, "wrong_audience"},
		"X6 security": {at(stage.Exchange, &idjag.CheckError{Rule: "X6", Security: true}), exitSecurity, "wrong_audience"},
		"X4":          {at(stage.Exchange, &idjag.CheckError{Rule: "X4", Security: true}), exitSecurity, "unusable_answer"},
		"X7":          {at(stage.Exchange, &idjag.CheckError{Rule: "X7"}), exitBroken, "wrong_client"},
		"X8":          {at(stage.Exchange, &idjag.CheckError{Rule: "X8"}), exitBroken, "wrong_resource"},
		"X9":          {at(stage.Exchange, &idjag.CheckError{Rule: "X9"}), exitBroken, "wrong_times"},
		"X11":         {at(stage.Exchange, &idjag.CheckError{Rule: "X11"}), exitRefused, "scopes_missing"},
		"A2":          {at(stage.Redeem, &idjag.CheckError{Rule: "A2"}), exitBroken, "unusable_answer"},

		"issuer":      {at(stage.ServerMetadata, &discover.IssuerMismatch{Want: "https://a", Got: "https://b"}), exitSecurity, "wrong_issuer"},
		"resource":    {at(stage.ResourceMetadata, &discover.ResourceMismatch{}), exitSecurity, "wrong_resource"},
		"web page":    {at(stage.ResourceMetadata, &discover.Malformed{WebPage: true}), exitNetwork, "web_page"},
		"malformed":   {at(stage.ResourceMetadata, &discover.Malformed{}), exitBroken, "metadata"},
		"no metadata": {at(stage.ResourceMetadata, &discover.NotFound{}), exitBroken, "no_metadata"},
		"503":         {at(stage.IdPMetadata, &discover.StatusError{Status: 503}), exitNetwork, "unavailable"},
		"429":         {at(stage.IdPMetadata, &discover.StatusError{Status: 429}), exitNetwork, "unavailable"},
		"403":         {at(stage.IdPMetadata, &discover.StatusError{Status: 403}), exitBroken, "metadata"},

		"locked":                     {vault.ErrLocked, exitNetwork, "keychain_locked"},
		"slow":                       {vault.ErrTimeout, exitNetwork, "keychain_timeout"},
		"no keychain":                {vault.ErrUnavailable, exitUsage, "keychain_unavailable"},
		"wrong key":                  {vault.ErrRefused, exitUsage, "store_refused"},
		"lost":                       {vault.ErrNotFound, exitSignIn, "signed_out"},
		"busy":                       {&state.Busy{Name: "x", Err: context.DeadlineExceeded}, exitNetwork, "busy"},
		"newer state":                {&state.Newer{}, exitUsage, "newer_state"},
		"unusable":                   {&state.Unusable{Path: "f"}, exitUsage, "unusable_file"},
		"blocked":                    {&wire.Blocked{Host: "10.0.0.1"}, exitSecurity, "stopped"},
		"not for them":               {&wire.Refusal{}, exitSecurity, "stopped"},
		"timeout":                    {at(stage.Exchange, context.DeadlineExceeded), exitNetwork, "network"},
		"old TLS":                    {at(stage.Redeem, &wire.OldTLS{Host: "as.example"}), exitBroken, "old_tls"},
		"broken":                     {at(stage.Redeem, &wire.Broken{Host: "as.example"}), exitNetwork, "network"},
		"proxy":                      {at(stage.Exchange, &wire.ProxyRefused{Proxy: "proxy.example:3128", Status: 407}), exitNetwork, "proxy_credentials"},
		"proxy is down":              {at(stage.Exchange, &wire.ProxyRefused{Proxy: "proxy.example:3128", Status: 502}), exitNetwork, "network"},
		"no file left":               {at(stage.Exchange, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}), exitNetwork, "too_many_files"},
		"no file left for the state": {&fs.PathError{Op: "open", Path: "f", Err: syscall.EMFILE}, exitNetwork, "too_many_files"},
		"no file left for a key":     {fmt.Errorf("%w: %w", vault.ErrUnavailable, &fs.PathError{Op: "open", Path: "f", Err: syscall.ENFILE}), exitNetwork, "too_many_files"},
		"unforeseen":                 {errors.New("what"), exitUnexpected, "unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			r := explain(fmt.Errorf("do it: %w", test.err))
			if r.Exit != test.exit || r.Code != test.code {
				t.Errorf("exit %d, code %q; want %d, %q", r.Exit, r.Code, test.exit, test.code)
			}
		})
	}
}

// What a step-up needs is in the hint, unless it could be more than an argument.
func TestExplainStepUp(t *testing.T) {
	for _, test := range []struct {
		acr  string
		age  time.Duration
		hint string
	}{
		{"", -1, "mcpauth login"},
		{"urn:acme:strong", -1, "mcpauth login --acr-values 'urn:acme:strong'"},
		{"a b", 0, "mcpauth login --acr-values 'a b' --max-age 0s"},
		{"", 5 * time.Minute, "mcpauth login --max-age 5m0s"},
		{"x' ; rm -rf ~ '", -1, "mcpauth login"},
		{"$(id)", -1, "mcpauth login"},
		{"a\nb", -1, "mcpauth login"},
	} {
		e := oauthError("insufficient_user_authentication", 0)
		e.ACRValues, e.MaxAge = test.acr, test.age
		r := explain(stage.At(stage.Exchange, parties, e))
		if got := strings.Join(r.Hints, "\n"); got != test.hint || r.Exit != exitStronger {
			t.Errorf("acr %q, max_age %v: hint %q, want %q", test.acr, test.age, got, test.hint)
		}
	}
}

// The one mistake that every Okta customer makes once (quirk table 3.1).
func TestExplainOkta(t *testing.T) {
	p := parties
	p.IdP = "https://acme.okta.example/oauth2/default"
	for _, code := range []string{"unsupported_grant_type", "invalid_request"} {
		r := explain(stage.At(stage.Exchange, p, oauthError(code, 0)))
		if !strings.Contains(strings.Join(r.Hints, ""), "https://acme.okta.example") {
			t.Errorf("%s: hints %q", code, r.Hints)
		}
	}
}

func TestRetryAfterIsSaid(t *testing.T) {
	e := oauthError("", 429)
	e.Code, e.RetryAfter = "slow_down", 90*time.Second
	if r := explain(stage.At(stage.Exchange, parties, e)); r.Hints[0] != "try again in 1m30s" {
		t.Errorf("hint %q", r.Hints)
	}
}

// However a remote party writes, a report stays in its lines and its place (S17, S18).
func FuzzReport(f *testing.F) {
	for _, s := range []string{"access_denied", "\x1b[2J", "\u202eevil", "a\r\nhint: rm -rf /", "\x00", strings.Repeat("x", 5000)} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, code, description, acr string) {
		e := oauthError(code, 0)
		e.Description, e.ACRValues = description, acr
		for _, at := range []stage.Stage{stage.Exchange, stage.Redeem, stage.Login} {
			r := explain(stage.At(at, parties, e))
			if r.Exit <= exitUnexpected || r.Exit > exitSecurity {
				t.Errorf("exit code %d", r.Exit)
			}
			var text, object bytes.Buffer
			r.print(&text, false)
			for line := range strings.Lines(text.String()) {
				known := false
				for _, prefix := range []string{"mcpauth: ", "hint: ", "  ", "the identity provider says: ", "the authorization server says: "} {
					known = known || strings.HasPrefix(line, prefix)
				}
				if !known || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\r\x00\u202e\u2028") {
					t.Errorf("a line that is not ours: %q", line)
				}
			}
			r.print(&object, true)
			if !json.Valid(object.Bytes()) || strings.Count(object.String(), "\n") != 1 {
				t.Errorf("not one line of JSON: %q", object.String())
			}
		}
	})
}
