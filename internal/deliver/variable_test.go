package deliver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestNames(t *testing.T) {
	for _, row := range []struct {
		servers, chosen, want []string
		err                   string
	}{
		{[]string{"wiki"}, nil, []string{"MCPAUTH_ACCESS_TOKEN"}, ""},
		{[]string{"wiki", "my-tickets.v2"}, nil, []string{"MCPAUTH_ACCESS_TOKEN_WIKI", "MCPAUTH_ACCESS_TOKEN_MY_TICKETS_V2"}, ""},
		{[]string{"wiki"}, []string{"X"}, []string{"X"}, ""},
		{[]string{"wiki"}, []string{"wiki=_x1"}, []string{"_x1"}, ""},
		{[]string{"wiki", "b"}, []string{"b=B"}, []string{"MCPAUTH_ACCESS_TOKEN_WIKI", "B"}, ""},
		{[]string{"wiki", "b"}, []string{"B"}, nil, "say which one"},
		{[]string{"wiki"}, []string{"b=B"}, nil, `"b" is not the name of one of the servers`},
		{[]string{"wiki"}, []string{"=B"}, nil, `"" is not the name of one of the servers`},
		{[]string{"wiki"}, []string{"A", "B"}, nil, "has a variable already"},
		{[]string{"wiki"}, []string{""}, nil, "is not the name of a variable"},
		{[]string{"wiki"}, []string{"1A"}, nil, "is not the name of a variable"},
		{[]string{"wiki"}, []string{"wiki=A=B"}, nil, "is not the name of a variable"},
		{[]string{"wiki"}, []string{"A;rm"}, nil, "is not the name of a variable"},
		{[]string{"wiki"}, []string{"Ä"}, nil, "is not the name of a variable"},
		{[]string{"wiki"}, []string{"A\nB"}, nil, "is not the name of a variable"},
		{[]string{"a.b", "a-b"}, nil, nil, "would share the variable MCPAUTH_ACCESS_TOKEN_A_B"},
		{[]string{"a", "b"}, []string{"a=X", "b=X"}, nil, "would share the variable X"},
	} {
		got, err := Names(row.servers, row.chosen)
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) || got != nil {
				t.Errorf("%v %v: %v, %v, want %q", row.servers, row.chosen, got, err, row.err)
			}
			continue
		}
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%v %v: %v %s", row.servers, row.chosen, err, diff)
		}
	}
}

// S26: a variable holds nothing that could end a line.
func TestVariableRefusesHostileTokens(t *testing.T) {
	for _, bad := range []string{"", "a b", "a\nb", "a\"b", `a\b`, "ä", "a\x00b", "a\x7fb"} {
		if v, err := NewVariable("X", token.Token{AccessToken: secret.New(bad)}); err == nil || !v.Value.IsZero() {
			t.Errorf("%q was accepted", bad)
		}
	}
	v, err := NewVariable("X", token.Token{AccessToken: secret.New("a'b$c`d")})
	if err != nil || v.Name != "X" || v.Value.Reveal() != "a'b$c`d" {
		t.Errorf("%v", err)
	}
}
