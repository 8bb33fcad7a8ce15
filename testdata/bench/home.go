package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// home is a person's folder, signed in at a company.
type home struct {
	dir, bin string
	env      []string
}

// signIn makes a home in which the company's server is configured twice: "wiki"
// by its URL alone, and "pinned" with its resource and authorization server. The
// others are never asked for a token.
func signIn(e *ends, c company, dir, bin, caFile, store string, others int) home {
	h := home{dir: dir, bin: bin}
	self, err := os.Executable()
	e.must(err, "find this program")
	h.env = append(bare(), "HOME="+dir, "BROWSER="+self+" browser",
		"PERSON="+c.Person.Email, "PASSWORD="+c.Person.Password, "CA_FILE="+caFile)
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		e.must(os.MkdirAll(filepath.Dir(path), 0o700), "make a folder")
		e.must(os.WriteFile(path, []byte(content), 0o600), "write a file")
		return path
	}
	auth := func(name, secret string) any {
		return map[string]string{"method": "client_secret_post", "secretFile": file(name, secret)}
	}
	as := auth("as-secret", c.ASClient.Secret)
	servers := map[string]any{
		"wiki":   map[string]any{"url": c.server, "oauth": map[string]any{"clientId": c.ASClient.ID, "clientAuth": as}},
		"pinned": map[string]any{"url": c.server, "oauth": map[string]any{"clientId": c.ASClient.ID, "clientAuth": as, "issuer": c.AS.Issuer, "resource": c.server, "scopes": []string{"read"}}},
	}
	for i := range others {
		servers[fmt.Sprint("other", i)] = map[string]any{
			"url": fmt.Sprintf("https://other%d.example/mcp", i), "oauth": map[string]any{"clientId": "c", "scopes": []string{"read", "write"}},
		}
	}
	config := map[string]any{
		"enterpriseManagedAuth": map[string]any{"idp": map[string]any{
			"issuer": c.IdP.Issuer, "clientId": c.IdPClient.ID, "clientAuth": auth("idp-secret", c.IdPClient.Secret)}},
		"mcpServers": servers,
		"store":      map[string]string{"kind": store},
		"caFile":     caFile,
	}
	if store == "file" {
		config["store"] = map[string]string{"kind": store, "keyFile": filepath.Join(dir, "key")}
	}
	text, err := json.MarshalIndent(config, "", "  ")
	e.must(err, "write the configuration")
	file(".config/mcpauth/config.json", string(text))
	_, err = h.run("login")
	e.must(err, "sign in")
	return h
}

// bare is an environment without what could lead to the person's own files. The
// bus is the one that the script has started.
func bare() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	if bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); bus != "" && os.Getenv("MCPAUTH_TEST_KEYCHAIN") != "" {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS="+bus)
	}
	return env
}

// run runs mcpauth and returns what it answered.
func (h home) run(args ...string) (string, error) {
	var out, conversation bytes.Buffer
	cmd := exec.Command(h.bin, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env, &out, &conversation
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("mcpauth %s: %w: %s", args[0], err, conversation.String())
	}
	return out.String(), nil
}

func (h home) state() string { return filepath.Join(h.dir, ".local", "state", "mcpauth") }

// keep copies the state to a folder of that name, without the parts named.
func (h home) keep(e *ends, name string, without ...string) string {
	to := filepath.Join(h.dir, name)
	e.must(replaceTree(to, h.state()), "copy the state")
	for _, part := range without {
		e.must(os.RemoveAll(filepath.Join(to, part)), "leave a part of the state out")
	}
	return to
}

// replaceTree makes to a copy of from. What was there is put aside: a file system that
// has just deleted a folder is slow to make files, as none of a person's is.
func replaceTree(to, from string) error {
	if err := os.Rename(to, fmt.Sprintf("%s.%d", to, time.Now().UnixNano())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

// browser is the person in front of the sign-in page.
func browser(e *ends, address string) {
	// The page is on this machine, and no secret of anybody's is typed into it.
	pem, err := os.ReadFile(os.Getenv("CA_FILE"))
	e.must(err, "read the certificate")
	b := idjagtest.Browser{Name: os.Getenv("PERSON"), Password: os.Getenv("PASSWORD"), HTTP: trusting(pem)}
	callback, err := b.Approve(context.Background(), address)
	e.must(err, "sign in")
	resp, err := http.Get(callback)
	e.must(err, "come back")
	resp.Body.Close()
}
