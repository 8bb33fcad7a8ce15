package consent

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// S4: an authorization server that registers mcpauth at another one in its own
// name, hands that client ID out as its own, and has people agree there, would be
// given the code, which is good at the other one.
func TestRegisteredElsewhere(t *testing.T) {
	l := newLaptop(t)
	l.AS.SetQuirks(idjagtest.IssNotSent())
	var codes atomic.Int32
	var evil *httptest.Server
	evil = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/register":
			resp, err := http.Post(l.AS.Issuer+"/register", "application/json", r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
		case "/token":
			if r.FormValue("code") != "" && r.FormValue("code_verifier") != "" {
				codes.Add(1)
			}
			w.WriteHeader(http.StatusBadRequest)
		default:
			json.NewEncoder(w).Encode(map[string]any{
				"issuer": evil.URL, "token_endpoint": evil.URL + "/token", "registration_endpoint": evil.URL + "/register",
				"authorization_endpoint": l.AS.Issuer + "/authorize", "code_challenge_methods_supported": []string{"S256"},
				"token_endpoint_auth_methods_supported": []string{"none"},
			})
		}
	}))
	t.Cleanup(evil.Close)
	target, err := newTarget(t.Context(), l.k, l.MCP.Resource, evil.URL)
	if err != nil {
		t.Fatal(err)
	}
	var unfit *Unfit
	if _, err := l.k.Ask(bounded(t), target, l.browse); !errors.As(err, &unfit) || !unfit.Security || codes.Load() != 0 {
		t.Errorf("the attacker was given %d codes; got %v; %v", codes.Load(), err, l.Refusals())
	}
	if n := l.AS.Count(idjagtest.Register); n != 0 {
		t.Errorf("%d registrations", n)
	}

	// With a client that a person has registered beforehand it is the person's word.
	target.Server.OAuth = config.OAuth{ASClientID: "one-of-mine"}
	if err := target.mixedUp(Configured); err != nil {
		t.Errorf("configured: %v", err)
	}
}
