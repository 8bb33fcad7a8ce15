package arch_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this folder.
const root = "../.."

// goFile is what the rules look at in one file. All files are read whatever
// their build tags say, so that a rule holds on every system.
type goFile struct {
	name     string // slash-separated, from the top
	pkg      string
	test     bool
	lines    int
	imports  []string
	problems []string
}

// goFiles reads every Go file of the module.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && skipped(path, d.Name()):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		f, err := readGoFile(path)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file was found")
	}
	return files
}

// skipped leaves out what the go command leaves out of ./... too.
func skipped(path, name string) bool {
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// code groups the files that are not tests by package folder.
func code(t *testing.T) map[string][]goFile {
	t.Helper()
	packages := map[string][]goFile{}
	for _, f := range goFiles(t) {
		if !f.test {
			folder := f.name[:max(0, strings.LastIndex(f.name, "/"))]
			packages[folder] = append(packages[folder], f)
		}
	}
	return packages
}

func readGoFile(path string) (goFile, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return goFile{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return goFile{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{
		name:  filepath.ToSlash(rel),
		pkg:   parsed.Name.Name,
		test:  strings.HasSuffix(path, "_test.go"),
		lines: bytes.Count(src, []byte("\n")),
	}
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, err
		}
		f.imports = append(f.imports, p)
	}
	if !f.test {
		f.problems = problems(parsed)
	}
	return f, nil
}

// problems lists hidden starts and hidden state: func init, and package-level
// variables that begin empty, since only an assignment elsewhere can fill them.
func problems(parsed *ast.File) []string {
	var found []string
	for _, decl := range parsed.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				found = append(found, "func init: the world enters through main")
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR || isEmbed(d.Doc) {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				if len(v.Values) == 0 && !isEmbed(v.Doc) {
					found = append(found, "var "+v.Names[0].Name+": package-level state")
				}
			}
		}
	}
	return found
}

// isEmbed reports whether the linker fills the variable.
func isEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// isStandard: only other people's modules have a dot in the first element.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func isOurs(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "pkg" || first == "internal" || first == "cmd"
}

// hasPrefix reports whether one of the prefixes is path or a folder above it.
func hasPrefix(prefixes []string, path string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

// hasPrefixAny reports whether prefix is one of the paths or a folder above one.
func hasPrefixAny(paths []string, prefix string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return hasPrefix([]string{prefix}, p) })
}
