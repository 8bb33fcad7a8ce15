package idjagtest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault idjagtest.Fault
		check func(answer) bool
	}{
		{"OAuth error", idjagtest.Fault{Code: "access_denied", Description: "no"}, func(a answer) bool {
			return a.status == 403 && a.text("error") == "access_denied" && a.text("error_description") == "no"
		}},
		{"error with its own status", idjagtest.Fault{Code: "temporarily_unavailable", Status: 503, RetryAfter: "7"}, func(a answer) bool {
			return a.status == 503 && a.header.Get("Retry-After") == "7" && a.text("error") == "temporarily_unavailable"
		}},
		{"bare status", idjagtest.Fault{Status: 429, RetryAfter: "1"}, func(a answer) bool {
			return a.status == 429 && a.header.Get("Retry-After") == "1" && a.raw == ""
		}},
		{"HTML", idjagtest.HTML(), func(a answer) bool {
			return a.status == 200 && a.header.Get("Content-Type") == "text/html" && strings.Contains(a.raw, "<p>")
		}},
		{"malformed", idjagtest.Malformed(), func(a answer) bool { return a.status == 200 && a.body == nil }},
		{"duplicate key", idjagtest.DuplicateKey(), func(a answer) bool { return strings.Count(a.raw, "access_token") == 2 }},
		{"deep", idjagtest.Deep(100_000), func(a answer) bool { return strings.Count(a.raw, "[") == 100_000 }},
		{"empty", idjagtest.Empty(), func(a answer) bool { return a.status == 200 && a.raw == "" }},
		{"200 with an error", idjagtest.NotOK("invalid_grant"), func(a answer) bool { return a.status == 200 && a.text("error") == "invalid_grant" }},
		{"poisoned", idjagtest.Poisoned("access_denied"), func(a answer) bool {
			return strings.Contains(a.text("error_description"), "\x1b") && strings.Contains(a.text("error_description"), "\u202e")
		}},
		{"redirect", idjagtest.Fault{Redirect: "https://evil.example/token"}, func(a answer) bool {
			return a.status == 307 && a.header.Get("Location") == "https://evil.example/token"
		}},
		{"huge", idjagtest.Fault{Huge: 1 << 20}, func(a answer) bool { return len(a.raw) > 1<<20 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			test.fault.Times = 1
			c.AS.SetFault(idjagtest.Redeem, test.fault)
			form := redeemForm(c, c.MintIDJAG(nil))
			if got := post(t, c.AS.TokenEndpoint(), c.ASClient, form); !test.check(got) {
				t.Errorf("answered %d %.200s", got.status, got.raw)
			}
			if r := c.AS.Requests()[0]; r.Reason != "fault" || r.Status == 0 {
				t.Errorf("recorded %v", r)
			}
			if got := post(t, c.AS.TokenEndpoint(), c.ASClient, form); got.status != 200 {
				t.Errorf("the second request, after one fault: %d %s", got.status, got.raw)
			}
		})
	}
}

func TestGzipBomb(t *testing.T) {
	c := idjagtest.New(t)
	c.AS.SetFault(idjagtest.Metadata, idjagtest.Fault{GzipBomb: 10 << 20})
	req, err := http.NewRequest(http.MethodGet, c.AS.MetadataURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip") // by hand, so that the transport does not unpack it
	got := send(t, req)
	if len(got.raw) > 100<<10 || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d bytes on the wire, encoding %q", len(got.raw), got.header.Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(got.raw)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, z); err != nil || n < 10<<20 {
		t.Errorf("unpacked %d bytes, %v", n, err)
	}
}

func TestResetAndLostReply(t *testing.T) {
	for _, secured := range []bool{false, true} {
		c := idjagtest.New(t, func(c *idjagtest.Company) {
			if secured {
				c.CA = newCA(t)
			}
		})
		client := c.Browser().HTTP
		if client == nil {
			client = http.DefaultClient
		}
		try := func(what idjagtest.Fault) error {
			c.AS.SetFault(idjagtest.Token, what)
			_, err := client.Do(formRequest(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))))
			return err
		}
		if err := try(idjagtest.Fault{Reset: true}); err == nil {
			t.Error("a reset gave an answer")
		}
		if n := c.AS.Granted(idjagtest.Redeem); n != 0 {
			t.Errorf("a reset redeemed %d", n)
		}
		if err := try(idjagtest.Fault{LoseReply: true}); err == nil {
			t.Error("a lost reply gave an answer")
		}
		if n := c.AS.Granted(idjagtest.Redeem); n == 0 {
			t.Error("a lost reply redeemed nothing")
		}
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	c := idjagtest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	c.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Hang: true, OnHit: cancel})
	req := formRequest(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil))).WithContext(ctx)
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was canceled", err)
	}
}

func TestHangEndsWithTheParty(t *testing.T) {
	c := idjagtest.New(t)
	c.IdP.SetFault(idjagtest.JWKS, idjagtest.Fault{Hang: true, OnHit: func() { go c.IdP.Close() }})
	if _, err := http.Get(c.IdP.Issuer + "/jwks"); err == nil {
		t.Error("a closed party answered")
	}
}

func TestWaitHoldsTheAnswerBack(t *testing.T) {
	c := idjagtest.New(t)
	release := make(chan struct{})
	c.IdP.SetFault(idjagtest.Metadata, idjagtest.Fault{Wait: release, OnHit: func() { close(release) }, Times: 1})
	if got := get(t, c.IdP.Issuer+"/.well-known/openid-configuration"); got.status != 200 || got.text("issuer") != c.IdP.Issuer {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	if r := c.IdP.Refusals(); len(r) != 0 {
		t.Errorf("recorded %v", r)
	}
}

func TestTheCloserFaultWins(t *testing.T) {
	c := idjagtest.New(t)
	c.IdP.SetFault(idjagtest.Token, idjagtest.Fault{Status: 503})
	c.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied", Times: 1})
	form := exchangeForm(c, c.MintIDToken(nil))
	var got []int
	for range 2 {
		got = append(got, post(t, c.IdP.TokenEndpoint(), c.IdPClient, form).status)
	}
	c.IdP.ClearFaults()
	got = append(got, post(t, c.IdP.TokenEndpoint(), c.IdPClient, form).status)
	if want := []int{403, 503, 200}; !slices.Equal(got, want) {
		t.Errorf("answered %d, want %d", got, want)
	}
}

func newCA(t *testing.T) *idjagtest.CA {
	t.Helper()
	ca, err := idjagtest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}
