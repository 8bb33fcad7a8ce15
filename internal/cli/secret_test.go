package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/grant"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/signin"
	mcptoken "github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// canary stands in every secret.Text of the values below.
const canary = "canary-that-must-not-sing"

// holders are the types that hold a secret, directly or deeper down.
func holders() []any {
	return []any{
		identity.Subject{}, identity.Party{}, signin.Code{}, mcptoken.Token{}, mcptoken.Ask{}, mcptoken.Chain{},
		idjag.Grant{}, idjag.Token{}, idjag.ExchangeRequest{}, idjag.RedeemRequest{}, clientauth.Client{}, endpoint.Request{},
		grant.Target{},
	}
}

// elsewhere are types that tests of their own package fill, since only it can.
var elsewhere = map[string]bool{"Vault": true, "Net": true}

// However a value with a secret is printed, logged or encoded, alone, in a
// pointer, a slice, a map, or a field that nobody exports: the secret is not seen.
func TestNoVerbShowsASecret(t *testing.T) {
	for _, v := range holders() {
		filled := reflect.New(reflect.TypeOf(v))
		if n := fill(filled.Elem(), 0); n == 0 && reflect.TypeOf(v) != reflect.TypeFor[grant.Target]() {
			t.Errorf("%T holds no secret and should not be in the list", v)
		}
		v := filled.Elem().Interface()
		hidden := struct{ inside any }{v}
		for name, shown := range map[string]any{
			"value": v, "pointer": filled.Interface(), "slice": []any{v}, "map": map[string]any{"k": v}, "hidden": hidden,
			"pointer to hidden": &hidden, "error": fmt.Errorf("do it: %v", v),
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "% x", "%10.3v"} {
				look(t, fmt.Sprintf("%T as %s by %s", v, name, verb), fmt.Sprintf(verb, shown))
			}
			if b, err := json.Marshal(shown); err == nil {
				look(t, fmt.Sprintf("%T as %s in JSON", v, name), string(b))
			}
			var log bytes.Buffer
			for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
				slog.New(h).Info("x", "v", shown, slog.Group("g", "v", shown))
			}
			look(t, fmt.Sprintf("%T as %s in a log", v, name), log.String())
		}
	}
}

func look(t *testing.T, what, text string) {
	t.Helper()
	for _, clear := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary)} {
		if strings.Contains(text, clear) {
			t.Errorf("%s shows the secret", what)
			return
		}
	}
}

// fill puts the canary into every secret.Text that can be reached, and returns
// how many there are.
func fill(v reflect.Value, depth int) (n int) {
	if v.Type() == reflect.TypeFor[secret.Text]() {
		v.Set(reflect.ValueOf(secret.New(canary)))
		return 1
	}
	if v.Kind() != reflect.Struct || depth > 5 {
		return 0
	}
	for i := range v.NumField() {
		if v.Field(i).CanSet() {
			n += fill(v.Field(i), depth+1)
		}
	}
	return n
}

// Every exported type with a field of type secret.Text is in the list above.
func TestListOfHoldersIsComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, v := range holders() {
		typ := reflect.TypeOf(v)
		listed[typ.Name()] = true
	}
	for _, folder := range []string{"identity", "signin", "token", "grant", "wire", "vault", "../pkg/idjag", "../pkg/clientauth", "../pkg/endpoint"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for name := range exportedHolders(file) {
				if !listed[name] && !elsewhere[name] {
					t.Errorf("%s: %s holds a secret.Text and is not in the list", path, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func exportedHolders(file *ast.File) map[string]bool {
	found := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || !spec.Name.IsExported() {
			return true
		}
		if body, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range body.Fields.List {
				if s, ok := field.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Text" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "secret" {
						found[spec.Name.Name] = true
					}
				}
			}
		}
		return true
	})
	return found
}
