package idjag_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// S19: every struct here that holds a secret, by every verb, bare and inside of
// unexported fields. An endpoint.Request has its secrets in the form, where the
// caller put them: only its Client is looked at.
func TestNeverPrinted(t *testing.T) {
	tok := secret.New("canary-7f3a")
	client := clientauth.Client{ID: "c", Secret: tok}
	grant := idjag.Grant{Assertion: tok}
	for _, v := range []any{
		idjag.ExchangeRequest{SubjectToken: tok, Client: client}, grant, idjag.RedeemRequest{Client: client, Grant: grant},
		idjag.Token{AccessToken: tok}, endpoint.Request{Client: client},
	} {
		type hidden struct{ v any }
		for _, v := range []any{v, &v, hidden{v}, &hidden{v}, []any{v}, map[string]any{"v": v}} {
			for _, verb := range strings.Split("v +v #v s q x X d b o U T p e g t c", " ") {
				if out := fmt.Sprintf("%"+verb, v); strings.Contains(out, "canary-7f3a") || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", "canary-7f3a")) {
					t.Errorf("%%%s of %T shows the secret", verb, v)
				}
			}
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("it", "v", v)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("it", "v", v)
			out, _ := json.Marshal(v) // functions do not marshal: then there is nothing to look at
			if strings.Contains(log.String()+string(out), "canary-7f3a") {
				t.Errorf("slog or JSON of %T shows the secret", v)
			}
		}
	}
	for _, v := range []any{grant, idjag.Token{AccessToken: tok}} {
		if out, err := json.Marshal(v); err != nil || !strings.Contains(string(out), "[secret]") {
			t.Errorf("JSON of %T: %s, %v", v, out, err)
		}
	}
}
