package browser_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

// document is a Client ID Metadata Document on a web host of its own, with a
// certificate that only those trust who are told to.
type document struct {
	URL  string
	host *httptest.Server
	text []byte
}

func publish(t *testing.T) *document {
	t.Helper()
	d := &document{}
	d.host = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(d.text)
	}))
	t.Cleanup(d.host.Close)
	d.URL = d.host.URL + "/mcpauth.json"
	return d
}

// write has mcpauth make the document, with a new key, and judge it where it is.
// Nobody has read it before.
func (d *document) write(t *testing.T, l *laptop.Laptop) {
	t.Helper()
	l.Want(t, 0, "keys", "generate", "acme")
	l.Want(t, 0, "cimd", "generate", "--url", d.URL, "--key", "acme", "--output", l.Path("mcpauth.json"))
	var err error
	if d.text, err = os.ReadFile(l.Path("mcpauth.json")); err != nil {
		t.Fatal(err)
	}
	l.Want(t, 0, "cimd", "lint", d.URL, "--ca-file", l.File(t, "root.pem", string(d.root())))
}

// root is the host's own certificate, as PEM.
func (d *document) root() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.host.Certificate().Raw})
}
