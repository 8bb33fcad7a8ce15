package clients

import "path/filepath"

// placeholder goes where a token would be, so that a client whose helper fails
// says that the header was refused instead of starting a consent flow of its own
// (Claude Code 2.1.330 does that for every helper that exits with an error).
const placeholder = "Bearer run-mcpauth-login"

// table has one row for each client. Files, shapes and traps are those of the
// makers' documentation and sources in November 2026. Claude Code, Cline, Codex,
// Continue, Copilot CLI, Gemini CLI, Kilo CLI, OpenCode, Qwen Code and the MCP client
// of VS Code were run with these entries.
func table() []Client {
	restart := func(name string) string { return "restart " + name }
	return []Client{
		{
			ID: "claude-code", Name: "Claude Code", Next: "start a new session of Claude Code, and look at /mcp",
			format: jsonFormat{}, at: "mcpServers", signs: []string{"claude", ".claude"},
			file: func(p Place) string { return filepath.Join(p.folder("CLAUDE_CONFIG_DIR", ""), ".claude.json") },
			helper: func(s Server, r Run) object {
				return object{{"type", "http"}, {"url", s.URL}, {"headers", object{{"Authorization", placeholder}}}, {"headersHelper", r.line("headers", s)}}
			},
			bridge: typed("stdio"),
		},
		{
			ID: "claude-desktop", Name: "Claude Desktop", Next: restart("Claude Desktop"),
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"/Applications/Claude.app", "AppData/Roaming/Claude"},
			file:   func(p Place) string { return filepath.Join(p.config(true), "Claude", "claude_desktop_config.json") },
			bridge: bare,
		},
		{
			// Cline 3.0 leaves out a server that cannot be used and says so in a log only.
			ID: "cline", Name: "Cline", Next: "start a new task in Cline; it hides why a server cannot be used, so look at: mcpauth status",
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"cline", ".cline"},
			file: func(p Place) string {
				data := p.folder("CLINE_DATA_DIR", filepath.Join(p.folder("CLINE_DIR", ".cline"), "data"))
				return p.folder("CLINE_MCP_SETTINGS_PATH", filepath.Join(data, "settings", "cline_mcp_settings.json"))
			},
			bridge: bare,
		},
		{
			ID: "codex", Name: "Codex CLI", Next: "start a new session of Codex; it hides what a helper says, so look at: mcpauth status",
			EMA:    "[features] use_xaa",
			format: tomlFormat{}, at: "mcp_servers", signs: []string{"codex", ".codex"},
			file: func(p Place) string { return filepath.Join(p.folder("CODEX_HOME", ".codex"), "config.toml") },
			helper: func(s Server, r Run) object {
				return object{{"url", s.URL}, {"http_headers_helper", r.line("headers", s)}}
			},
			// Codex clears the environment; these lead to the keychain.
			bridge: func(s Server, r Run) object {
				return append(bare(s, r), member{"env_vars", []string{"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"}})
			},
		},
		{
			ID: "continue", Name: "Continue", Next: "reload the window of your editor, or start cn again",
			format: yamlFormat{}, at: "mcpServers", named: true, graphical: true, signs: []string{"cn", ".continue"},
			fresh: "name: Local Config\nversion: 1.0.0\nschema: v1\n",
			file: func(p Place) string {
				return filepath.Join(p.folder("CONTINUE_GLOBAL_DIR", ".continue"), "config.yaml")
			},
			bridge: func(s Server, r Run) object {
				return append(object{{"name", s.key()}, {"type", "stdio"}}, bare(s, r)...)
			},
		},
		{
			ID: "copilot-cli", Name: "GitHub Copilot CLI", Next: "start a new session of Copilot CLI",
			format: jsonFormat{}, at: "mcpServers", signs: []string{"copilot", ".copilot"},
			file: func(p Place) string { return filepath.Join(p.folder("COPILOT_HOME", ".copilot"), "mcp-config.json") },
			bridge: func(s Server, r Run) object {
				return append(typed("local")(s, r), member{"tools", []string{"*"}})
			},
		},
		{
			ID: "cursor", Name: "Cursor", Next: "switch the servers on in Cursor: Settings, Tools & MCP",
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"cursor", ".cursor", "/Applications/Cursor.app"},
			file:   func(p Place) string { return p.path(".cursor/mcp.json") },
			bridge: bare,
		},
		{
			ID: "devin", Name: "Devin Desktop", Next: restart("Devin Desktop"),
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"devin", ".config/devin", "AppData/Roaming/devin"},
			file:   func(p Place) string { return filepath.Join(p.config(false), "devin", "mcp_config.json") },
			bridge: bare,
		},
		{
			ID: "gemini-cli", Name: "Gemini CLI", Next: "start Gemini CLI in a folder that it trusts, and look at /mcp",
			format: jsonFormat{}, at: "mcpServers", signs: []string{"gemini", ".gemini"},
			file:   func(p Place) string { return p.path(".gemini/settings.json") },
			bridge: bare,
		},
		{
			ID: "goose", Name: "Goose", Next: "start a new session of Goose",
			format: yamlFormat{}, at: "extensions", graphical: true, signs: []string{"goose", ".config/goose", "AppData/Roaming/Block/goose", "/Applications/Goose.app"},
			file: func(p Place) string {
				if p.OS == "windows" {
					return filepath.Join(p.config(false), "Block", "goose", "config", "config.yaml")
				}
				return filepath.Join(p.config(false), "goose", "config.yaml")
			},
			bridge: func(s Server, r Run) object {
				return object{{"enabled", true}, {"type", "stdio"}, {"name", s.key()}, {"cmd", r.Program}, {"args", r.args("bridge", s)}, {"timeout", 300}}
			},
		},
		{
			ID: "jetbrains", Name: "JetBrains AI Assistant and Junie", graphical: true,
			Paste:  "Settings | Tools | AI Assistant | Model Context Protocol (MCP), Add, As JSON",
			format: jsonFormat{}, at: "mcpServers",
			signs:  []string{"idea", "pycharm", "goland", "webstorm", ".config/JetBrains", "Library/Application Support/JetBrains", "AppData/Roaming/JetBrains"},
			bridge: bare,
		},
		{
			ID: "kilo", Name: "Kilo CLI", Next: "start a new session of Kilo, or look at: kilo mcp list",
			format: jsonFormat{}, at: "mcp", graphical: true, signs: []string{"kilo", ".config/kilo"},
			file: oneOfTwo("KILO_CONFIG", "kilo"), bridge: local,
		},
		{
			ID: "kiro", Name: "Kiro", Next: "look at Kiro's list of MCP servers; it reads the file again by itself",
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"kiro", ".kiro", "/Applications/Kiro.app"},
			file:   func(p Place) string { return p.path(".kiro/settings/mcp.json") },
			bridge: bare,
		},
		{
			ID: "opencode", Name: "OpenCode", Next: "start a new session of OpenCode",
			format: jsonFormat{}, at: "mcp", signs: []string{"opencode", ".config/opencode"},
			file: oneOfTwo("OPENCODE_CONFIG", "opencode"), bridge: local,
		},
		{
			ID: "qwen-code", Name: "Qwen Code", Next: "start a new session of Qwen Code, and look at /mcp",
			format: jsonFormat{}, at: "mcpServers", signs: []string{"qwen", ".qwen"},
			file:   func(p Place) string { return filepath.Join(p.folder("QWEN_HOME", ".qwen"), "settings.json") },
			bridge: bare,
		},
		{
			ID: "vscode", Name: "VS Code", Next: `in VS Code run "MCP: List Servers" and start the servers`,
			EMA:    `the setting "mcp.enterpriseManagedAuth.idp"`,
			format: jsonFormat{}, at: "servers", graphical: true, signs: []string{"code", ".vscode", "/Applications/Visual Studio Code.app"},
			file:   func(p Place) string { return filepath.Join(p.codeUser(), "mcp.json") },
			bridge: typed("stdio"),
		},
		{
			ID: "warp", Name: "Warp", Next: "look at Warp's list of MCP servers; it reads the file again by itself",
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"warp-terminal", ".warp", "/Applications/Warp.app"},
			file:   func(p Place) string { return p.path(".warp/.mcp.json") },
			bridge: bare,
		},
		{
			ID: "windsurf", Name: "Windsurf", Next: "refresh the list of MCP servers in Windsurf's settings",
			format: jsonFormat{}, at: "mcpServers", graphical: true, signs: []string{"windsurf", ".codeium/windsurf", "/Applications/Windsurf.app"},
			file:   func(p Place) string { return p.path(".codeium/windsurf/mcp_config.json") },
			bridge: bare,
		},
		{
			ID: "zed", Name: "Zed", Next: "look at Zed's agent settings; it reads the file again by itself",
			format: jsonFormat{}, at: "context_servers", graphical: true, signs: []string{"zed", "zeditor", ".config/zed", "AppData/Roaming/Zed", "/Applications/Zed.app"},
			file: func(p Place) string {
				if p.OS == "windows" {
					return filepath.Join(p.config(false), "Zed", "settings.json")
				}
				return filepath.Join(p.config(false), "zed", "settings.json")
			},
			bridge: func(s Server, r Run) object { return append(bare(s, r), member{"env", object{}}) },
		},
	}
}

// bare is the entry that most clients share.
func bare(s Server, r Run) object {
	return object{{"command", r.Program}, {"args", r.args("bridge", s)}}
}

// local is the entry of OpenCode and what was made of it.
func local(s Server, r Run) object {
	return object{{"type", "local"}, {"command", append([]string{r.Program}, r.args("bridge", s)...)}}
}

func typed(kind string) func(Server, Run) object {
	return func(s Server, r Run) object { return append(object{{"type", kind}}, bare(s, r)...) }
}

// codeUser is the folder of VS Code's user settings.
func (p Place) codeUser() string {
	if portable := p.Getenv("VSCODE_PORTABLE"); filepath.IsAbs(portable) {
		return filepath.Join(portable, "user-data", "User")
	}
	return filepath.Join(p.config(true), "Code", "User")
}

// oneOfTwo is for a client that reads name.json and name.jsonc: the file that the
// variable names, or the one that is there. A second one beside it would be read as
// well.
func oneOfTwo(variable, name string) func(Place) string {
	return func(p Place) string {
		if file := p.Getenv(variable); filepath.IsAbs(file) {
			return file
		}
		dir := filepath.Join(p.folder("XDG_CONFIG_HOME", ".config"), name)
		if file := filepath.Join(dir, name+".jsonc"); exists(file) {
			return file
		}
		return filepath.Join(dir, name+".json")
	}
}
