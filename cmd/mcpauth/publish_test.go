package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// publishCmd is a company's web host: https, with the folder www behind it. HOST is
// where it is, and the file host-ca.pem has its certificate. What is below /moved/
// is elsewhere.
func publishCmd(ts *testscript.TestScript, neg bool, _ []string) {
	must0(ts, neg)
	files := http.FileServer(http.Dir(ts.MkAbs("www")))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, moved := strings.CutPrefix(r.URL.Path, "/moved/"); moved {
			http.Redirect(w, r, "/"+rest, http.StatusFound)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(s.Close)
	ts.Setenv("HOST", s.URL)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("host-ca.pem"), ca, 0o600))
}

// trustDocuments is the company option cimd=FOLDER: the authorization server lets
// clients come without registration whose documents are on hosts below acme.example,
// which are in that folder, and the identity provider knows mcpauth there as one.
func trustDocuments(c *idjagtest.Company, folder string) {
	c.Connection.ClientID = "https://agents.acme.example/mcpauth.json"
	c.AS.CIMD = &idjagtest.CIMDPolicy{Allow: []string{"*.acme.example"}, Fetch: func(_ context.Context, address string) ([]byte, error) {
		return os.ReadFile(filepath.Join(folder, path.Base(address)))
	}}
}

// hostCmd runs mcpauth cimd serve with these flags, and sets SERVED to the address
// that it prints.
func hostCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	cmd := exec.Command(program(ts, "mcpauth"), append([]string{"cimd", "serve"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	ts.Setenv("SERVED", strings.TrimSpace(line))
}
