package resilience

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// abroad is a server outside the company, whose people are asked for consent.
type abroad struct {
	*idjagtest.Company
	server string // its name in the configuration
}

// addAbroad adds a server with a company of its own, in which the same person lives.
// It is in the configuration after the next configure.
func (l *laptop) addAbroad(server string, oauth map[string]any, options ...func(*idjagtest.Company)) abroad {
	l.t.Helper()
	options = append([]func(*idjagtest.Company){idjagtest.Standard, func(c *idjagtest.Company) { c.Person = l.Person }}, options...)
	a := abroad{idjagtest.New(l.t, options...), server}
	oauth["mode"] = "oauth"
	if l.more == nil {
		l.more = map[string]any{}
	}
	l.more[server] = map[string]any{"url": a.MCP.Resource, "oauth": oauth}
	l.abroad = append(l.abroad, a)
	l.configure(map[string]any{"kind": "file", "keyFile": filepath.Join(l.home, "key")}, "")
	return a
}

// issued reports whether the answer is one of this server's tokens.
func (a abroad) issued(d done) bool {
	_, ok := a.AS.Lookup(strings.TrimSuffix(d.out, "\n"))
	return d.exit == 0 && ok
}

// everything is a laptop with one of every file that mcpauth can keep: a sign-in,
// a token, metadata, a consent with its registration and its secret, a consent
// whose tokens are bound to a key, and client keys.
type everything struct {
	*laptop
	tracker, vault abroad // by consent; the second one's tokens are bound to a key
}

func newEverything(t testing.TB) everything {
	t.Helper()
	// A kept copy of the state holds the refresh tokens of then.
	e := everything{laptop: newLaptop(t, 1, cacheable, func(c *idjagtest.Company) { c.IdP.NoRotation = true })}
	again := func(c *idjagtest.Company) { c.AS.NoRotation, c.AS.Issuer = true, keepable(c.AS) }
	e.tracker = e.addAbroad("tracker", map[string]any{}, again, func(c *idjagtest.Company) {
		c.AS.AuthMethods = []string{idjagtest.AuthBasic} // so that a registration comes with a secret
	})
	e.vault = e.addAbroad("vault", map[string]any{"dpop": "required"}, again, func(c *idjagtest.Company) {
		p := idjagtest.DPoPPolicy{Require: true}
		c.AS.DPoP, c.MCP.DPoP = p, p
	})
	for _, args := range [][]string{
		{"login", "--timeout", "30s"}, {"token", "s0"},
		{"login", "tracker", "--timeout", "30s"}, {"token", "tracker"},
		{"login", "vault", "--timeout", "30s"},
		{"keys", "generate", "acme"}, {"keys", "rotate", "acme"},
	} {
		if d := e.inside(0, args...); d.exit != 0 {
			t.Fatalf("mcpauth %v: %v", args, d)
		}
	}
	return e
}

// opened is a file of the state folder and the name of what is in it.
type opened struct{ path, rel, name string }

// files lists everything that is kept, and fails when a kind of it is missing. The
// names of items are read with the key of the file store.
func (e everything) files() (list []opened) {
	e.t.Helper()
	key, err := os.ReadFile(filepath.Join(e.home, "key"))
	if err != nil {
		e.t.Fatal(err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(key))
	if err != nil {
		e.t.Fatal(err)
	}
	for _, pattern := range []string{"state.json", "data-key.copy", "sealed/*", "store/*", "metadata/*"} {
		found, err := filepath.Glob(filepath.Join(e.state(), pattern))
		if err != nil || len(found) == 0 {
			e.t.Fatalf("there is no %s: %v", pattern, err)
		}
		for _, path := range found {
			rel, _ := filepath.Rel(e.state(), path)
			f := opened{path: path, rel: rel, name: rel}
			b, err := os.ReadFile(path)
			if err != nil {
				e.t.Fatal(err)
			}
			switch folder := filepath.Dir(rel); folder {
			case "store":
				_, b, _ = bytes.Cut(b, []byte("\n")) // the checksum stands before it
				r, err := age.Decrypt(bytes.NewReader(b), ids...)
				if err != nil {
					e.t.Fatal(err)
				}
				plain, err := io.ReadAll(r)
				if err != nil {
					e.t.Fatal(err)
				}
				f.name, _, _ = strings.Cut(string(plain), "\n")
			case "metadata":
				if f.name, err = strconv.Unquote(strings.Split(string(b), "\n")[1]); err != nil {
					e.t.Fatal(err)
				}
			}
			list = append(list, f)
		}
	}
	for _, want := range []string{"state.json", "sealed/", "http", "data-key", "refresh token for ", "registered client secret for ", "DPoP key for ", "client key ", "next client key ", "names of client keys"} {
		if !containsPrefix(list, want) {
			e.t.Fatalf("nothing is kept whose name begins with %q", want)
		}
	}
	return list
}

func containsPrefix(list []opened, prefix string) bool {
	for _, f := range list {
		if strings.HasPrefix(f.name, prefix) {
			return true
		}
	}
	return false
}

// person signs in or agrees, at whichever company the address is of.
func (l *laptop) person(ctx context.Context, address string) error {
	b := l.Browser()
	if l.browses != nil {
		b.HTTP = l.browses
	}
	callback, err := b.Approve(ctx, address)
	if err != nil {
		return err
	}
	resp, err := http.Get(callback)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
