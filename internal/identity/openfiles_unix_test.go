//go:build unix

package identity

import (
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// When no further file can be opened after the identity provider has given another
// refresh token, the connections that it took to get it make room for writing it down.
func TestRotatedTokenIsKeptThoughNoFileCanBeOpened(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var spare []*os.File
	give := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		for _, f := range spare {
			f.Close()
		}
		spare = nil
	}
	t.Cleanup(give)
	// take leaves no file to be opened beyond those that are open now.
	take := func() {
		for range 100 { // more than there are gaps below
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Error(err)
				return
			}
			spare = append(spare, f)
		}
		none := limit
		none.Cur = uint64(spare[99].Fd()) + 1
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Error(err)
		}
	}
	renewing := false
	l := newLaptop(t, func(c *idjagtest.Company) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.IdP.ServeHTTP(w, r)
			if renewing && r.URL.Path == "/token" {
				take()
			}
		}))
		t.Cleanup(srv.Close)
		c.IdP.Issuer = srv.URL
	})
	l.signIn(t)
	l.expire()
	l.IdP.SetQuirks(idjagtest.Member(idjagtest.Refresh, "id_token", nil)) // for whose keys there is no connection
	renewing = true
	_, err := l.renewed(t)
	renewing = false
	give()
	l.IdP.SetQuirks()
	if n := l.IdP.Granted(idjagtest.Refresh); err != nil || n != 1 {
		t.Fatalf("%d renewals, %v", n, err)
	}
	l.expire()
	if s, err := l.renewed(t); err != nil || !s.Renewed || len(l.warned()) > 0 {
		t.Errorf("when it is over: %v, %q; %v", err, l.warned(), l.Refusals())
	}
}
