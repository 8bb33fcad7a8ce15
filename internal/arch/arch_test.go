package arch_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mcpauth/mcpauth"

// imports says what the code of each package (tests aside) may import beyond the
// standard library: our packages by their exact path, modules by their prefix.
// The order is the order of the flow, so that a row names only rows above it.
var imports = []struct {
	pkg string
	may []string
}{
	{"pkg/secret", nil},
	{"internal/strictjson", nil},
	{"internal/stage", nil},
	{"pkg/clientauth", []string{"pkg/secret", jose}},
	{"pkg/discover", []string{"internal/strictjson"}},
	{"pkg/dpop", []string{"pkg/secret", "pkg/discover", jose}},
	{"pkg/endpoint", []string{"pkg/secret", "pkg/clientauth", "pkg/dpop", "internal/strictjson"}},
	{"pkg/idjag", []string{"pkg/secret", "pkg/clientauth", "pkg/dpop", "pkg/endpoint", "internal/strictjson", jose}},
	{"pkg/cimd", []string{"internal/strictjson", jose}},
	// A fake must not share a check with what it judges.
	{"pkg/idjagtest", []string{jose}},
	{runsPrograms, []string{"pkg/discover", "golang.org/x/oauth2"}},

	{"internal/wire", []string{"pkg/secret"}},
	{"internal/ownjson", nil},
	{"internal/ownfile", nil},
	{"internal/state", []string{"internal/ownjson", "internal/ownfile", flock, sys}},
	{"internal/pace", []string{"pkg/endpoint", "pkg/discover", "internal/wire", "internal/state"}},
	{"internal/vault", []string{"internal/ownfile", "internal/state", "pkg/secret", keyring, "filippo.io/age", sys}},
	{"internal/jsonedit", []string{hujson}},
	{"internal/tomledit", []string{"internal/jsonedit", "github.com/pelletier/go-toml/v2"}},
	{"internal/yamledit", []string{"internal/jsonedit", "go.yaml.in/yaml/v3"}},
	{"internal/config", []string{"pkg/secret", "internal/ownfile", "internal/ownjson", "internal/jsonedit", hujson, flock}},
	{"internal/clientkey", []string{"pkg/secret", "pkg/clientauth", "internal/strictjson", "internal/state", "internal/vault", jose}},

	// The stages, in the order of the flow.
	{"internal/signin", []string{"pkg/secret", "internal/stage", "golang.org/x/oauth2"}},
	{"internal/identity", slices.Concat(base, []string{"internal/clientkey", "internal/signin", goOIDC})},
	{"internal/grant", slices.Concat(base, []string{"internal/identity"})},
	{"internal/consent", slices.Concat(base, []string{"internal/signin", "internal/identity"})},
	{"internal/token", slices.Concat(base, []string{"internal/identity", "internal/grant", "internal/consent", "golang.org/x/sync"})},
	{"internal/deliver", []string{"pkg/secret", "internal/token"}},
	{"internal/deliver/bridge", []string{"pkg/secret", "pkg/dpop", "pkg/endpoint", "pkg/discover", "internal/wire", "internal/token", sys}},
	{"internal/deliver/proxy", []string{"pkg/secret", "pkg/dpop", "pkg/discover", "internal/wire", "internal/token"}},
	{"internal/deliver/clients", []string{"internal/state", "internal/ownfile", "internal/jsonedit", "internal/tomledit", "internal/yamledit"}},
	{"internal/company", []string{"pkg/secret", "pkg/idjagtest", goSDK, jose}},
	{"internal/cli", slices.Concat(base, []string{"pkg/cimd", "internal/clientkey", "internal/signin", "internal/identity", "internal/grant", "internal/consent", "internal/token",
		"internal/deliver", "internal/deliver/bridge", "internal/deliver/proxy",
		"internal/deliver/clients", cobra, browser, "github.com/rogpeppe/go-internal/diff", "golang.org/x/sync", "golang.org/x/term", sys})},

	{"cmd/mcpauth", []string{"internal/cli"}},
	{"cmd/mcpauth-demo", []string{"internal/cli", "internal/company", "pkg/secret", "golang.org/x/term", sys}},
	{"internal", nil}, // the picture
	{"internal/arch", nil},
}

// base is what every stage after the sign-in may use.
var base = []string{"pkg/secret", "pkg/clientauth", "pkg/dpop", "pkg/endpoint", "pkg/discover", "pkg/idjag", "internal/strictjson",
	"internal/stage", "internal/ownjson", "internal/wire", "internal/state", "internal/pace", "internal/vault", "internal/ownfile", "internal/config"}

// The modules that more than one rule names.
const (
	jose    = "github.com/go-jose/go-jose/v4"
	goOIDC  = "github.com/coreos/go-oidc/v3"
	goSDK   = "github.com/modelcontextprotocol/go-sdk"
	cobra   = "github.com/spf13/cobra"
	keyring = "github.com/zalando/go-keyring"
	browser = "github.com/pkg/browser"
	flock   = "github.com/gofrs/flock"
	hujson  = "github.com/tailscale/hujson"
	sys     = "golang.org/x/sys"
)

// oneImporter lists modules that we may want to leave one day: each has one
// importing package, and where it says so one importing file.
var oneImporter = []struct {
	module  string
	oneFile bool
}{
	{cobra, false},
	{keyring, true},
	{browser, true},
}

// notInBinary lists what a credential tool must not carry: the practice company
// and its fakes, the MCP SDK, and the testing package.
var notInBinary = []string{
	module + "/pkg/idjagtest", module + "/internal/company", goSDK, "github.com/google/jsonschema-go", "testing",
}

// notInPkg are the parts of the standard library that tie a library to one
// process on one machine. Programs that import pkg/ bring those themselves.
var notInPkg = []string{"os", "flag", "testing", "path/filepath", "syscall", "plugin"}

// runsPrograms is the one package of pkg/ that is about another process: it gets
// its tokens by running mcpauth.
const runsPrograms = "pkg/mcptoken"

// badNames say nothing about what is inside.
var badNames = []string{"util", "utils", "common", "types", "base", "shared", "helpers", "misc", "impl"}

const (
	maxLines     = 400 // of a file with code
	maxTestLines = 600
)

func TestEveryPackageImportsOnlyItsRow(t *testing.T) {
	rows := map[string][]string{}
	for _, row := range imports {
		rows[row.pkg] = row.may
	}
	for pkg, files := range code(t) {
		may, ok := rows[pkg]
		if !ok {
			t.Errorf("%s has no row in the import table", pkg)
		}
		for _, f := range files {
			for _, path := range f.imports {
				own, isOwn := strings.CutPrefix(path, module+"/")
				switch {
				case isOwn && !slices.Contains(may, own):
					t.Errorf("%s imports %s: not in the row of %s", f.name, own, pkg)
				case !isOwn && !isStandard(path) && !hasPrefix(may, path):
					t.Errorf("%s imports %s: not in the row of %s", f.name, path, pkg)
				case strings.HasPrefix(pkg, "pkg/") && hasPrefix(notInPkg, path) && !(pkg == runsPrograms && path == "os/exec"):
					t.Errorf("%s imports %s: pkg/ knows no process and no file", f.name, path)
				}
			}
		}
	}
}

// A row may name only rows above it; that alone keeps the stages in order.
func TestTableRunsOneWayAndIsUsed(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range imports {
		for _, other := range row.may {
			if isOurs(other) && !seen[other] {
				t.Errorf("%s may import %s, which does not stand above it", row.pkg, other)
			}
		}
		if seen[row.pkg] {
			t.Errorf("%s has two rows", row.pkg)
		}
		seen[row.pkg] = true
	}
	packages := code(t)
	for pkg := range seen {
		if packages[pkg] == nil && pkg != "internal" {
			t.Errorf("%s has a row and no code", pkg)
		}
	}
}

func TestOneImporter(t *testing.T) {
	packages := code(t)
	for _, rule := range oneImporter {
		var pkgs, names []string
		for pkg, files := range packages {
			for _, f := range files {
				if hasPrefixAny(f.imports, rule.module) {
					names = append(names, f.name)
					if !slices.Contains(pkgs, pkg) {
						pkgs = append(pkgs, pkg)
					}
				}
			}
		}
		if len(pkgs) > 1 || rule.oneFile && len(names) > 1 {
			t.Errorf("%s is imported by %s", rule.module, strings.Join(names, ", "))
		}
	}
}

// On every system that is released, since build tags change what is linked.
func TestBinaryLinksNoFake(t *testing.T) {
	if _, ok := code(t)["cmd/mcpauth"]; !ok {
		return
	}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "./cmd/mcpauth")
		cmd.Dir = root
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", goos, err, stderr.Bytes())
		}
		for path := range strings.FieldsSeq(string(out)) {
			if hasPrefix(notInBinary, path) {
				t.Errorf("%s: the mcpauth binary links %s", goos, path)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for pkg, files := range code(t) {
		folder := pkg[strings.LastIndex(pkg, "/")+1:]
		for _, f := range files {
			if slices.Contains(badNames, f.pkg) {
				t.Errorf("%s: package %s says nothing about what is inside", f.name, f.pkg)
			}
			if f.pkg != folder && f.pkg != "main" {
				t.Errorf("%s: package %s lives in folder %s", f.name, f.pkg, folder)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	for _, f := range goFiles(t) {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if f.lines > limit {
			t.Errorf("%s has %d lines, more than %d", f.name, f.lines, limit)
		}
		for _, problem := range f.problems {
			t.Errorf("%s: %s", f.name, problem)
		}
	}
}
