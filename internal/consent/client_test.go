package consent

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

const document = "https://acme.example/mcpauth.json"

// Who we are at an authorization server: registered beforehand comes first, then
// the metadata document, then what was registered before (5.9).
func TestClient(t *testing.T) {
	l := newLaptop(t)
	l.setSecret(t)
	registered := &state.Registration{Issuer: l.AS.Issuer, ClientID: "dcr", Method: "none"}
	for _, row := range []struct {
		name         string
		change       func(*Target)
		registration *state.Registration
		id, how      string
		method       clientauth.Method
		none         bool
	}{
		{name: "nothing", none: true},
		{name: "configured", change: func(t *Target) { t.Server.OAuth.ASClientID = l.ASClient.ID }, id: l.ASClient.ID, how: Configured, method: clientauth.SecretBasic},
		{name: "configured before a document", change: func(t *Target) {
			t.Server.OAuth.ASClientID, t.Company.MetadataURL, t.AS.ClientIDMetadataDocument = l.ASClient.ID, document, true
		}, registration: registered, id: l.ASClient.ID, how: Configured, method: clientauth.SecretBasic},
		{name: "document", change: func(t *Target) { t.Company.MetadataURL, t.AS.ClientIDMetadataDocument = document, true }, id: document, how: CIMD, method: clientauth.None},
		{name: "document before a registration", change: func(t *Target) { t.Company.MetadataURL, t.AS.ClientIDMetadataDocument = document, true },
			registration: registered, id: document, how: CIMD, method: clientauth.None},
		{name: "document of the server's own", change: func(t *Target) {
			t.Server.OAuth.ASClientID, t.AS.ClientIDMetadataDocument, t.Company.MetadataURL = "https://wiki.example/c", true, document
		}, id: "https://wiki.example/c", how: CIMD, method: clientauth.None},
		{name: "document where none is taken", change: func(t *Target) { t.Company.MetadataURL = document }, registration: registered, id: "dcr", how: Registered, method: clientauth.None},
		{name: "URL that was registered", change: func(t *Target) { t.Server.OAuth.ASClientID = document }, id: document, how: Configured, method: clientauth.None},
		{name: "registered", registration: registered, id: "dcr", how: Registered, method: clientauth.None},
		{name: "registered elsewhere", registration: &state.Registration{Issuer: l.AS.Issuer + "/", ClientID: "dcr", Method: "none"}, none: true},
		{name: "registered, good for a while", registration: &state.Registration{Issuer: l.AS.Issuer, ClientID: "dcr", Method: "none", SecretExpires: l.Now().Add(time.Hour)},
			id: "dcr", how: Registered, method: clientauth.None},
		{name: "registered, expired", registration: &state.Registration{Issuer: l.AS.Issuer, ClientID: "dcr", Method: "none", SecretExpires: l.Now().Add(-time.Second)}, none: true},
		{name: "registered, secret lost", registration: &state.Registration{Issuer: l.AS.Issuer, ClientID: "dcr", Method: "client_secret_post"}, none: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := l.target(t)
			if err := l.k.update(t.Context(), target.url(), func(s *state.Server) { s.Registration = row.registration }); err != nil {
				t.Fatal(err)
			}
			if row.change != nil {
				row.change(&target)
			}
			c, how, err := l.k.Client(t.Context(), target)
			var none *NoClient
			if errors.As(err, &none) != row.none || (err != nil) != row.none {
				t.Fatalf("got %v", err)
			}
			if !row.none && (c.ID != row.id || how != row.how || c.Method != row.method || c.Issuer != l.AS.Issuer) {
				t.Errorf("got %+v %q", c, how)
			}
		})
	}
	target := l.target(t)
	target.AS.ClientIDMetadataDocument, target.Company.MetadataURL = true, document
	target.Company.ClientAuth = config.Auth{SecretCommand: []string{"hostname"}}
	var wrong *config.Error
	if _, _, err := l.k.Client(t.Context(), target); !errors.As(err, &wrong) {
		t.Errorf("a document with a secret: got %v", err)
	}
	if l.AS.Count(idjagtest.Register) != 0 {
		t.Error("something was registered")
	}
}

// S4: with a metadata document we are the same client everywhere, so that an answer
// must name its issuer, or the person be asked where the issuer is.
func TestMixedUp(t *testing.T) {
	for _, row := range []struct {
		issuer, asks string
		named, safe  bool
	}{
		{"https://as.example", "https://as.example/authorize", false, true},
		{"https://as.example/t", "https://AS.example/authorize", false, true},
		{"https://as.example", "https://other.example/authorize", false, false},
		{"https://as.example", "https://as.example:444/authorize", false, false},
		{"https://as.example", "https://other.example/authorize", true, true},
	} {
		l := Target{}
		l.AS.Issuer, l.AS.AuthorizationEndpoint, l.AS.IssParameterSupported = row.issuer, row.asks, row.named
		var unfit *Unfit
		if err := l.mixedUp(CIMD); (err == nil) != row.safe || err != nil && (!errors.As(err, &unfit) || !unfit.Security) {
			t.Errorf("%+v: got %v", row, err)
		}
	}
}

// And before any browser is opened.
func TestMixedUpIsNotAsked(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	target.Company.MetadataURL, target.AS.ClientIDMetadataDocument = document, true
	target.AS.IssParameterSupported, target.AS.AuthorizationEndpoint = false, "https://other.example/authorize"
	var unfit *Unfit
	if _, err := l.k.Ask(bounded(t), target, noBrowser(t)); !errors.As(err, &unfit) || !unfit.Security {
		t.Errorf("got %v", err)
	}
}

// mcpauth registers itself where it may and can, with what the server takes.
func TestRegister(t *testing.T) {
	for _, row := range []struct {
		name    string
		methods []string
		want    string
	}{
		{"none is best", []string{"client_secret_basic", "none"}, "none"},
		{"basic", []string{"client_secret_post", "client_secret_basic"}, "client_secret_basic"},
		{"post", []string{"private_key_jwt", "client_secret_post"}, "client_secret_post"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			l.AS.AuthMethods, l.AS.SecretLifetime = row.methods, time.Hour
			target := l.target(t)
			l.consented(t, target)
			asked := l.requests(idjagtest.Register)[0].Form
			for name, want := range map[string][]string{"client_name": {"mcpauth"}, "application_type": {"native"}, "response_types": {"code"},
				"grant_types": {"authorization_code", "refresh_token"}, "token_endpoint_auth_method": {row.want}} {
				if !slices.Equal(asked[name], want) {
					t.Errorf("%s is %q, want %q", name, asked[name], want)
				}
			}
			r := l.k.record(target.url()).Registration
			if r.Method != row.want || r.SecretExpires.IsZero() != (row.want == "none") || r.Made.IsZero() {
				t.Errorf("on record: %+v", r)
			}
			if got, err := l.renewed(t, target); err != nil || !l.works(got) {
				t.Errorf("renew: %v; %v", err, l.Refusals())
			}
			if row.want == "none" {
				return
			}
			l.Advance(61 * time.Minute) // and the secret runs out
			if _, err := l.renewed(t, target); !isNeeded(err) || !strings.Contains(err.Error(), "expired") {
				t.Errorf("with a secret that ran out: %v", err)
			}
			l.consented(t, target)
			if n := l.AS.Count(idjagtest.Register); n != 2 {
				t.Errorf("%d registrations, want 2", n)
			}
			if _, err := l.k.Vault.Get(t.Context(), secretItem(target.url(), *r)); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("the secret that ran out is still stored: %v", err)
			}
		})
	}
}

// Where mcpauth cannot or may not register, the person is told, and not asked in vain.
func TestNoRegistration(t *testing.T) {
	for name, change := range map[string]func(*Target){
		"off":              func(t *Target) { t.Server.OAuth.Registration = "off" },
		"no endpoint":      func(t *Target) { t.AS.RegistrationEndpoint = "" },
		"no common method": func(t *Target) { t.AS.TokenEndpointAuthMethods = []string{"private_key_jwt", "tls_client_auth"} },
	} {
		l := newLaptop(t)
		target := l.target(t)
		change(&target)
		var none *NoClient
		if _, err := l.k.Ask(bounded(t), target, noBrowser(t)); !errors.As(err, &none) || none.AS != l.AS.Issuer || none.Server != "wiki" {
			t.Errorf("%s: got %v", name, err)
		}
		if l.AS.Count(idjagtest.Register) != 0 {
			t.Errorf("%s: something was registered", name)
		}
	}
}

// Refusals keep their words; answers that are none leave nothing behind.
func TestRegistrationGoesWrong(t *testing.T) {
	for name, row := range map[string]struct {
		fault  idjagtest.Fault
		code   string
		status int
	}{
		"redirect URI": {idjagtest.Fault{Code: "invalid_redirect_uri", Description: "not that port"}, "invalid_redirect_uri", 400},
		"metadata":     {idjagtest.Fault{Code: "invalid_client_metadata", Description: "not that port"}, "invalid_client_metadata", 400},
		"too often":    {idjagtest.Fault{Status: 429, RetryAfter: "7"}, "", 429},
		"web page":     {idjagtest.HTML(), "", 200},
		"redirect":     {idjagtest.Fault{Redirect: "https://evil.example/", Status: 307}, "", 307},
		"twice":        {idjagtest.Fault{Body: idjagtest.Text(`{"client_id":"a","client_id":"b"}`)}, "", 200},
		"huge":         {idjagtest.Fault{Huge: endpoint.MaxAnswer + 10}, "", 200},
		"array":        {idjagtest.Fault{Body: idjagtest.Text(`[]`)}, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			l.AS.SetFault(idjagtest.Register, row.fault)
			_, err := l.k.Ask(bounded(t), l.target(t), noBrowser(t))
			var e *endpoint.Error
			if !errors.As(err, &e) || e.Code != row.code || e.Status != row.status || (e.Strange == "") != (row.code != "") || strings.Contains(err.Error(), "not that port") {
				t.Fatalf("got %#v", err)
			}
			if row.fault.Description != "" && e.Description != row.fault.Description || row.fault.RetryAfter != "" && e.RetryAfter != 7*time.Second {
				t.Errorf("got %#v", e)
			}
			if r := l.k.record(l.MCP.Resource).Registration; r != nil {
				t.Errorf("on record: %+v", r)
			}
		})
	}
}

// S36: four members of the answer count, and they have to make sense.
func TestReadRegistration(t *testing.T) {
	long := strings.Repeat("x", maxClientID+1)
	for _, row := range []struct {
		name, answer string
		asked        clientauth.Method
		want         state.Registration
		secret       string
	}{
		{"public", `{"client_id":"a b~","registration_client_uri":"http://10.0.0.1/","redirect_uris":["https://evil.example"],"issuer":"https://evil.example","token_endpoint":"https://evil.example"}`,
			"none", state.Registration{ClientID: "a b~", Method: "none"}, ""},
		{"secret for ever", `{"client_id":"a","client_secret":"s","client_secret_expires_at":0}`, "client_secret_post", state.Registration{ClientID: "a", Method: "client_secret_post"}, "s"},
		{"secret for a while", `{"client_id":"a","client_secret":"s","client_secret_expires_at":2000000000}`, "client_secret_basic",
			state.Registration{ClientID: "a", Method: "client_secret_basic", SecretExpires: time.Unix(2000000000, 0)}, "s"},
		{"the server's choice of a method", `{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}`, "none", state.Registration{ClientID: "a", Method: "client_secret_post"}, "s"},
		{"a secret that is of no use", `{"client_id":"a","client_secret":"s","client_secret_expires_at":1,"token_endpoint_auth_method":"none"}`, "none", state.Registration{ClientID: "a", Method: "none"}, ""},
		{"a secret unasked", `{"client_id":"a","client_secret":"s"}`, "none", state.Registration{ClientID: "a", Method: "client_secret_basic"}, "s"},
		{name: "no client_id", answer: `{"client_secret":"s"}`, asked: "none"},
		{name: "client_id of another type", answer: `{"client_id":7}`, asked: "none"},
		{name: "client_id with a line break", answer: `{"client_id":"a\nb"}`, asked: "none"},
		{name: "client_id with another script", answer: `{"client_id":"ä"}`, asked: "none"},
		{name: "client_id without end", answer: `{"client_id":"` + long + `"}`, asked: "none"},
		{name: "no secret", answer: `{"client_id":"a"}`, asked: "client_secret_basic"},
		{name: "secret with a line break", answer: `{"client_id":"a","client_secret":"a\r\nb"}`, asked: "client_secret_basic"},
		{name: "method that needs a key", answer: `{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}`, asked: "none"},
		{name: "expiry that is no time", answer: `{"client_id":"a","client_secret":"s","client_secret_expires_at":"never"}`, asked: "client_secret_basic"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, err := strictjson.Parse([]byte(row.answer))
			if err != nil {
				t.Fatal(err)
			}
			r, sec, err := readRegistration(answer, row.asked)
			if (err != nil) != (row.want.ClientID == "") || !r.SecretExpires.Equal(row.want.SecretExpires) {
				t.Fatalf("got %+v, %v", r, err)
			}
			r.SecretExpires = row.want.SecretExpires
			if r != row.want || sec.Reveal() != row.secret {
				t.Errorf("got %+v with %q", r, sec.Reveal())
			}
		})
	}
}

func FuzzReadRegistration(f *testing.F) {
	f.Add(`{"client_id":"a","client_secret":"s","client_secret_expires_at":1}`, "none")
	f.Add(`{"client_id":"a","token_endpoint_auth_method":"none"}`, "client_secret_basic")
	f.Fuzz(func(t *testing.T, text, asked string) {
		answer, err := strictjson.Parse([]byte(text))
		if err != nil {
			return
		}
		r, sec, err := readRegistration(answer, clientauth.Method(asked))
		switch {
		case err != nil:
			if r != (state.Registration{}) || !sec.IsZero() {
				t.Error("something beside the error")
			}
		case r.ClientID == "" || strings.ContainsFunc(r.ClientID, notVSChar) || sec.IsZero() != (r.Method == "none"):
			t.Errorf("got %+v", r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}

// A server keeps its path, and has the client registered anew where the redirect
// URI is another one.
func TestRedirectOf(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	one := target.redirectOf(Registered)
	other := target
	other.AS.Issuer += "/other"
	if one != target.redirectOf(Registered) || one.path == other.redirectOf(Registered).path || one.port < 1024 {
		t.Errorf("got %+v and %+v", one, other.redirectOf(Registered))
	}
	l.consented(t, target)
	target.Server.OAuth.RedirectHost = "localhost"
	l.consented(t, target)
	rs := l.requests(idjagtest.Register)
	if len(rs) != 2 || !strings.HasPrefix(rs[1].Form.Get("redirect_uris"), "http://localhost:") {
		t.Errorf("registered %v", rs)
	}
	if got := target.redirectOf(Configured); got != (redirect{host: "localhost", path: "/callback"}) {
		t.Errorf("got %+v", got)
	}
}

// A registration endpoint at a private address is not reached for a public server.
func TestRegistrationIsGuarded(t *testing.T) {
	reached := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	l := newLaptop(t)
	target := l.target(t)
	target.Server.URL = "https://public.example/mcp"
	target.AS.RegistrationEndpoint = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // 127.0.0.1 is configured here
	var blocked *wire.Blocked
	if _, err := l.k.Ask(bounded(t), target, noBrowser(t)); !errors.As(err, &blocked) || reached {
		t.Errorf("got %v, reached %v", err, reached)
	}
}
