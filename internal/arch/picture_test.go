package arch_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The picture of the house stands twice: for those who read code in
// internal/doc.go, for those who read the README. Both must name exactly the
// packages there are.
func TestPictures(t *testing.T) {
	var want []string
	for folder := range code(t) {
		want = append(want, folder)
	}
	for _, file := range []string{"internal/doc.go", "README.md"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		drawn := picture(string(text))
		if len(drawn) == 0 {
			t.Errorf("%s has no picture: no line starts with cmd/mcpauth/", file)
			continue
		}
		for _, folder := range want {
			// The picture's own file need not draw itself.
			if folder != "internal" && !slices.Contains(drawn, folder) {
				t.Errorf("%s does not draw %s", file, folder)
			}
		}
		for _, folder := range drawn {
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder))); err != nil || !info.IsDir() {
				t.Errorf("%s draws %s, which is not there", file, folder)
			}
		}
	}
}

// picture reads the block that begins with cmd/mcpauth/ and ends with a line
// that names no folder: a name with a slash at its end, indented below the
// folder that holds it, with words behind it.
func picture(text string) []string {
	type level struct {
		indent int
		folder string
	}
	var drawn []string
	var above []level
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "//"), "\n")
		bare := strings.TrimLeft(line, " \t")
		name, _, _ := strings.Cut(bare, " ")
		if len(drawn) == 0 && name != "cmd/mcpauth/" {
			continue
		}
		if !strings.HasSuffix(name, "/") {
			break
		}
		indent := len(line) - len(bare)
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		folder := strings.TrimSuffix(name, "/")
		if len(above) > 0 {
			folder = above[len(above)-1].folder + "/" + folder
		}
		above = append(above, level{indent, folder})
		drawn = append(drawn, folder)
	}
	return drawn
}

func TestPictureIsRead(t *testing.T) {
	const text = "// Words before.\n//\n//\tcmd/mcpauth/       main\n//\tpkg/               libraries\n//\t  idjag/           legs\n//\tinternal/\n" +
		"//\t  deliver/         out\n//\t    bridge/        stdio\n//\t  vault/           secrets\n//\n// cmd/other/ is not in it\npackage internal\n"
	want := []string{"cmd/mcpauth", "pkg", "pkg/idjag", "internal", "internal/deliver", "internal/deliver/bridge", "internal/vault"}
	if got := picture(text); !slices.Equal(got, want) {
		t.Errorf("the picture reads as %q, want %q", got, want)
	}
}
