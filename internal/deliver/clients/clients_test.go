//go:build unix

package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is a computer with nothing but a home folder.
func place(t *testing.T, system string, vars ...string) Place {
	return Place{OS: system, Home: t.TempDir(), Getenv: func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}}
}

// The places that clients document, below the home folder.
func TestFiles(t *testing.T) {
	for _, tt := range []struct{ id, linux, mac, windows string }{
		{"claude-code", ".claude.json", ".claude.json", ".claude.json"},
		{"claude-desktop", ".config/Claude/claude_desktop_config.json", "Library/Application Support/Claude/claude_desktop_config.json", "AppData/Roaming/Claude/claude_desktop_config.json"},
		{"cline", ".cline/data/settings/cline_mcp_settings.json", "", ""},
		{"codex", ".codex/config.toml", "", ""},
		{"continue", ".continue/config.yaml", "", ""},
		{"copilot-cli", ".copilot/mcp-config.json", "", ""},
		{"cursor", ".cursor/mcp.json", "", ""},
		{"devin", ".config/devin/mcp_config.json", ".config/devin/mcp_config.json", "AppData/Roaming/devin/mcp_config.json"},
		{"gemini-cli", ".gemini/settings.json", "", ""},
		{"goose", ".config/goose/config.yaml", ".config/goose/config.yaml", "AppData/Roaming/Block/goose/config/config.yaml"},
		{"kilo", ".config/kilo/kilo.json", "", ""},
		{"kiro", ".kiro/settings/mcp.json", "", ""},
		{"opencode", ".config/opencode/opencode.json", "", ""},
		{"qwen-code", ".qwen/settings.json", "", ""},
		{"vscode", ".config/Code/User/mcp.json", "Library/Application Support/Code/User/mcp.json", "AppData/Roaming/Code/User/mcp.json"},
		{"warp", ".warp/.mcp.json", "", ""},
		{"windsurf", ".codeium/windsurf/mcp_config.json", "", ""},
		{"zed", ".config/zed/settings.json", ".config/zed/settings.json", "AppData/Roaming/Zed/settings.json"},
	} {
		for system, want := range map[string]string{"linux": tt.linux, "darwin": tt.mac, "windows": tt.windows} {
			if want == "" {
				want = tt.linux
			}
			p := place(t, system)
			if got := client(t, tt.id).File(p); got != filepath.Join(p.Home, want) {
				t.Errorf("%s on %s: %s", tt.id, system, got)
			}
		}
	}
	for _, tt := range []struct{ id, variable, want string }{
		{"claude-code", "CLAUDE_CONFIG_DIR=/v", "/v/.claude.json"},
		{"cline", "CLINE_MCP_SETTINGS_PATH=/v/c.json", "/v/c.json"},
		{"cline", "CLINE_DATA_DIR=/v", "/v/settings/cline_mcp_settings.json"},
		{"cline", "CLINE_DIR=/v", "/v/data/settings/cline_mcp_settings.json"},
		{"codex", "CODEX_HOME=/v", "/v/config.toml"},
		{"continue", "CONTINUE_GLOBAL_DIR=/v", "/v/config.yaml"},
		{"copilot-cli", "COPILOT_HOME=/v", "/v/mcp-config.json"},
		{"goose", "XDG_CONFIG_HOME=/v", "/v/goose/config.yaml"},
		{"kilo", "KILO_CONFIG=/v/k.json", "/v/k.json"},
		{"opencode", "XDG_CONFIG_HOME=/v", "/v/opencode/opencode.json"},
		{"opencode", "OPENCODE_CONFIG=/v/o.json", "/v/o.json"},
		{"qwen-code", "QWEN_HOME=/v", "/v/settings.json"},
		{"vscode", "VSCODE_PORTABLE=/v", "/v/user-data/User/mcp.json"},
		{"zed", "XDG_CONFIG_HOME=/v", "/v/zed/settings.json"},
	} {
		if got := client(t, tt.id).File(place(t, "linux", tt.variable)); got != filepath.FromSlash(tt.want) {
			t.Errorf("%s with %s: %s", tt.id, tt.variable, got)
		}
		name, _, _ := strings.Cut(tt.variable, "=")
		if p := place(t, "linux", name+"=relative"); !strings.HasPrefix(client(t, tt.id).File(p), p.Home) {
			t.Errorf("%s follows a relative %s", tt.id, name)
		}
	}
}

// OpenCode and Kilo would read both, so the one that is there is edited.
func TestFileWithComments(t *testing.T) {
	for _, id := range []string{"opencode", "kilo"} {
		p := place(t, "linux")
		file := filepath.Join(p.Home, ".config", id, id+".jsonc")
		write(t, file, "{}", 0o600)
		if got := client(t, id).File(p); got != file {
			t.Error(got)
		}
	}
}

// A row is complete, and what it writes is recognized again under its name only.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.ID] || c.Name == "" || c.at == "" || c.format == nil || c.bridge == nil || len(c.signs) == 0 {
			t.Errorf("row %+v", c)
		}
		if (c.Paste == "") != (c.file != nil) || (c.Next == "") != (c.file == nil) {
			t.Errorf("%s: a file and what to do next, or where to paste", c.ID)
		}
		seen[c.ID] = true
		for _, q := range []Request{{Run: run()}, {Run: run(), Bridge: true}, {Run: Run{Program: `C:\Program Files\mcpauth.exe`, OS: "windows"}}} {
			entry := c.entry(Server{Name: "team.wiki", URL: "https://wiki.example/mcp"}, q).plain()
			if !isOurs("team-wiki", entry) || isOurs("wiki", entry) {
				t.Errorf("%s: %v is not recognized", c.ID, entry)
			}
			text, _ := json.Marshal(entry)
			if helper := bytes.Contains(text, []byte("headers")); helper != (c.Helper() && !q.Bridge) {
				t.Errorf("%s: %s", c.ID, text)
			}
		}
	}
}

func TestIsOurs(t *testing.T) {
	for text, want := range map[string]bool{
		`{"command":"mcpauth","args":["bridge","wiki","--config","/c"]}`:              true,
		`{"command":["/x/mcpauth","bridge","wiki"]}`:                                  true,
		`{"headersHelper":"'/a b/mcpauth' headers wiki"}`:                             true,
		`{"transport":{"type":"stdio","command":"mcpauth","args":["bridge","wiki"]}}`: true,
		`{"transport":"stdio","command":"mcpauth","args":["bridge","wiki"]}`:          true,
		`{"command":"mcpauth","args":["bridge","other"]}`:                             false,
		`{"command":"mcpauth","args":["token","wiki"]}`:                               false,
		`{"command":"notmcpauth","args":["bridge","wiki"]}`:                           false,
		`{"command":"sh","args":["-c","mcpauth bridge wiki"]}`:                        false,
		`{"command":"mcpauth","args":["bridge"]}`:                                     false,
		`{"url":"https://wiki.example/mcp"}`:                                          false,
		`"mcpauth bridge wiki"`:                                                       false,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if got := isOurs("wiki", v); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// The placeholder stops Claude Code's own consent flow when the helper fails; a
// value that is not a string would make it drop all headers.
func TestClaudeCodeEntry(t *testing.T) {
	got := client(t, "claude-code").entry(wiki, Request{Run: Run{Program: "/a b/it's/mcpauth", Flags: []string{"--config", "/c"}, OS: "linux"}}).plain()
	want := map[string]any{
		"type": "http", "url": wiki.URL, "headers": map[string]any{"Authorization": "Bearer run-mcpauth-login"},
		"headersHelper": `'/a b/it'\''s/mcpauth' headers wiki --config /c`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ word, system, want string }{
		{"mcpauth", "linux", "mcpauth"},
		{"/usr/bin/mcpauth", "darwin", "/usr/bin/mcpauth"},
		{"/a b", "linux", "'/a b'"},
		{"$(x)", "linux", "'$(x)'"},
		{`a\b`, "linux", `'a\b'`},
		{"~/x", "linux", "'~/x'"},
		{"", "linux", "''"},
		{`C:\bin\mcpauth.exe`, "windows", `C:\bin\mcpauth.exe`},
		{`C:\a b\mcpauth.exe`, "windows", `"C:\a b\mcpauth.exe"`},
		{`C:\a&b`, "windows", `"C:\a&b"`},
	} {
		if got := quote(tt.word, tt.system); got != tt.want {
			t.Errorf("%s on %s: %s", tt.word, tt.system, got)
		}
	}
}

// A path that an upgrade moves is not written down when PATH leads to the same
// file.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "Cellar", "1.0", "mcpauth")
	write(t, self, "", 0o755)
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "mcpauth")); err != nil {
		t.Skip(err)
	}
	write(t, filepath.Join(dir, "other", "mcpauth"), "", 0o755)
	write(t, filepath.Join(dir, "plain", "mcpauth"), "", 0o644)
	t.Chdir(dir) // or "bin" would lead nowhere
	cursor, gemini := client(t, "cursor"), client(t, "gemini-cli")
	for _, tt := range []struct{ name, path, graphical, shell string }{
		{"in PATH", dir + "/plain:" + bin, bin + "/mcpauth", "mcpauth"},
		{"not in PATH", "/nowhere", self, self},
		{"another one in PATH", dir + "/other:" + bin, self, self},
		{"relative PATH", "bin:.", self, self},
	} {
		p := place(t, "linux", "PATH="+tt.path)
		if got := cursor.Program(p, self); got != tt.graphical {
			t.Errorf("%s: graphical %s", tt.name, got)
		}
		if got := gemini.Program(p, self); got != tt.shell {
			t.Errorf("%s: shell %s", tt.name, got)
		}
	}
}

func TestInstalled(t *testing.T) {
	c := client(t, "gemini-cli")
	bin := t.TempDir()
	p := place(t, "linux", "PATH="+bin)
	if c.Installed(p) {
		t.Error("with nothing there")
	}
	write(t, filepath.Join(bin, "gemini"), "", 0o755)
	if !c.Installed(p) {
		t.Error("its program is in PATH")
	}
	if p = place(t, "windows", "PATH="+bin); c.Installed(p) {
		t.Error("there it is no program")
	}
	write(t, filepath.Join(bin, "gemini.cmd"), "", 0o644)
	if !c.Installed(p) {
		t.Error("its program is in PATH, as npm installs it there")
	}
	p = place(t, "linux")
	write(t, filepath.Join(p.Home, ".gemini", "trustedFolders.json"), "{}", 0o600)
	if !c.Installed(p) {
		t.Error("its folder is there")
	}
	p = place(t, "linux")
	write(t, filepath.Join(p.Home, ".gemini", "settings.json"), "{}", 0o600)
	if !c.Installed(p) {
		t.Error("its file is there")
	}
}

func TestVSCode(t *testing.T) {
	p := place(t, "linux")
	if n, err := VSCode(p); err != nil || n.Issuer != "" || len(n.Servers) > 0 {
		t.Errorf("nothing there: %+v, %v", n, err)
	}
	user := filepath.Join(p.Home, ".config", "Code", "User")
	write(t, filepath.Join(user, "settings.json"), "\ufeff{ // c\n\"mcp.enterpriseManagedAuth.idp\": {\"issuer\": \"https://i.example\", \"clientId\": \"c\"},}", 0o600)
	write(t, filepath.Join(user, "mcp.json"), `{"servers": {"b": {"url": "https://b.example", "oauth": {"enterpriseManaged": true}}, "n": null,
		"a": {"url": "https://a.example", "oauth": {"enterpriseManaged": true, "clientId": "ac"}}, "c": {"oauth": {"enterpriseManaged": "yes"}}, "d": 7}}`, 0o600)
	got, err := VSCode(p)
	want := Native{filepath.Join(user, "settings.json"), "https://i.example", "c", []NativeServer{{"a", "https://a.example", "ac"}, {"b", "https://b.example", ""}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	write(t, filepath.Join(user, "mcp.json"), `{"servers": `, 0o600)
	if _, err := VSCode(p); err == nil || !strings.Contains(err.Error(), "mcp.json") {
		t.Error(err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
