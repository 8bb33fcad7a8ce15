package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

const canary = "canary-7f3a"

type holder struct {
	Public  secret.Text
	private secret.Text
	Nested  struct{ deep secret.Text }
	Pointer *secret.Text
	List    []secret.Text
	Map     map[string]secret.Text
}

func holding(t secret.Text) holder {
	h := holder{Public: t, private: t, Pointer: &t, List: []secret.Text{t}, Map: map[string]secret.Text{"k": t}}
	h.Nested.deep = t
	return h
}

// Every verb, inside and outside of unexported fields (rule S19).
func TestNeverPrinted(t *testing.T) {
	tok := secret.New(canary)
	for _, v := range []any{tok, &tok, holding(tok), []any{tok, holding(tok)}} {
		for _, verb := range strings.Split("v +v #v s q x X d b o U T p e g t c", " ") {
			if out := fmt.Sprintf("%"+verb, v); strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%%%s of %T shows the secret", verb, v)
			}
		}
		var logged bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
			slog.New(h).Info("it", "v", v)
		}
		if strings.Contains(logged.String(), canary) {
			t.Errorf("slog of %T shows the secret", v)
		}
		if out, _ := json.Marshal(v); bytes.Contains(out, []byte(canary)) {
			t.Errorf("JSON of %T shows the secret", v)
		}
		if out, _ := xml.Marshal(v); bytes.Contains(out, []byte(canary)) {
			t.Errorf("XML of %T shows the secret", v)
		}
	}
}

func TestText(t *testing.T) {
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	if !secret.New("").IsZero() || !(secret.Text{}).IsZero() || secret.New("x").IsZero() {
		t.Error("IsZero is wrong")
	}
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) || secret.New("a").Equal(secret.Text{}) {
		t.Error("Equal is wrong")
	}
	if got := fmt.Sprint(secret.New(canary)); got != "[secret]" {
		t.Errorf("Sprint = %q", got)
	}
}
