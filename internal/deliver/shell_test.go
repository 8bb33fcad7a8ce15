package deliver

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// hostile are values that no token has, but that a quote must carry all the same.
var hostile = []string{
	"plain-._~+/=", "a'b", "''", "'", `\`, `\'`, `a\\'b\`, `"`, "$HOME", "${HOME}", "$(touch x)", "`touch x`", "a b", " a ", "a;b|c&d>e<f", "*?[a]{b,c}~", "#a", "!a!!", "%PATH%",
	"^a", "-n", "@{a}", "a\tb", "a\nb\n\nc", "ä€😀", "‘a’‚b‛", "'; exit 3; '", "\x01\x7f", "(cat)", "{0}", "$env:HOME", "=", "",
}

func assigned(t *testing.T, format, value string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Shells[format](&b, []Variable{{"X_1", secret.New(value)}, {"Y", secret.New("last")}}); err != nil {
		t.Fatalf("%s %q: %v", format, value, err)
	}
	return b.String()
}

// What a shell reads is what was written, in every shell that is here. The first
// of each kind is on every machine that runs these tests.
func TestShellsReadItBack(t *testing.T) {
	for _, shell := range []struct {
		format, program string
		args            []string
		print           string
	}{
		{"sh", "sh", []string{"-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"sh", "bash", []string{"-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"sh", "dash", []string{"-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"sh", "zsh", []string{"-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"sh", "busybox", []string{"sh", "-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"fish", "fish", []string{"--no-config", "-c"}, `printf '%s|' "$X_1"; exec printenv Y`},
		{"pwsh", "pwsh", []string{"-NoProfile", "-Command"}, `[Console]::Out.Write("$env:X_1|$env:Y` + "`n" + `")`},
	} {
		path, err := exec.LookPath(shell.program)
		if err != nil {
			t.Logf("%s is not here", shell.program)
			continue
		}
		for _, value := range hostile {
			cmd := exec.Command(path, append(shell.args, assigned(t, shell.format, value)+shell.print)...)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != value+"|last\n" {
				t.Errorf("%s read %q as %q, %v", shell.program, value, out, err)
			}
		}
	}
}

// The quoting itself, for shells that are not here.
func TestQuotes(t *testing.T) {
	for _, row := range []struct{ format, value, want string }{
		{"sh", "a'b$c", `export X_1='a'\''b$c'`},
		{"sh", "", "export X_1=''"},
		{"fish", `a'b\c$d`, `set -gx X_1 'a\'b\\c$d'`},
		{"pwsh", "a'b$c`d", "$env:X_1 = 'a''b$c`d'"},
		{"pwsh", "‘a’‚b‛", "$env:X_1 = '‘‘a’’‚‚b‛‛'"},
		{"dotenv", "Ab1-._~+/=", "X_1=Ab1-._~+/="},
	} {
		first, _, _ := strings.Cut(assigned(t, row.format, row.value), "\n")
		if first != row.want {
			t.Errorf("%s: %q is %s, want %s", row.format, row.value, first, row.want)
		}
	}
}

// Readers of .env files agree on plain words only; the rest is refused, and then
// nothing is written at all.
func TestDotenvRefuses(t *testing.T) {
	for _, value := range hostile[1:] {
		var b bytes.Buffer
		err := Shells["dotenv"](&b, []Variable{{"A", secret.New("good")}, {"X", secret.New(value)}})
		if plain := value == "" || value == "-n" || value == "="; plain {
			continue
		}
		if err == nil || b.Len() != 0 || len(value) > 3 && strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v, %q", value, err, b.String())
		}
	}
}

func TestEnvJSON(t *testing.T) {
	for _, value := range hostile {
		var got map[string]string
		if err := json.Unmarshal([]byte(assigned(t, "json", value)), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"X_1": value, "Y": "last"}, got); diff != "" {
			t.Errorf("%q: %s", value, diff)
		}
	}
}
