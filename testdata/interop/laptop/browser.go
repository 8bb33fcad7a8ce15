package laptop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// Page is what a browser saw in the end.
type Page struct {
	// Text is the HTML of the last page.
	Text string
	// Consent is what the page said on which the person agreed.
	Consent string
	// Outside lists the addresses beyond loopback that a page asked for.
	Outside []string
	// Screens are PNG pictures by name.
	Screens map[string][]byte
	// Problem says why the browser did not get through; empty if it did.
	Problem string
}

// Browse makes the test binary itself the browser: mcpauth will start it with
// the verb, an address to report to, and the URL to open. TestMain has to know
// the verb and end in Report. The returned function waits for that report:
// mcpauth is done when it has the code, the browser only a little later.
func (l *Laptop) Browse(t *testing.T, verb string) (wait func() Page) {
	t.Helper()
	pages := make(chan Page, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page Page
		if err := json.NewDecoder(r.Body).Decode(&page); err != nil {
			page.Problem = err.Error()
		}
		select {
		case pages <- page:
		default:
			t.Error("a second browser was opened")
		}
	}))
	t.Cleanup(server.Close)
	l.Browser = strings.Join([]string{os.Args[0], verb, server.URL}, " ")
	return func() Page {
		t.Helper()
		select {
		case page := <-pages:
			if page.Problem != "" {
				t.Fatalf("the browser did not get through: %s", page.Problem)
			}
			checkResult(t, page)
			return page
		case <-time.After(30 * time.Second):
			t.Fatal("no browser was opened")
			return Page{}
		}
	}
}

// checkResult reads the page that mcpauth leaves the person with. It must not
// repeat what the redirect carried, nor load anything (S13).
func checkResult(t *testing.T, page Page) {
	t.Helper()
	for _, forbidden := range []string{"code=", "state=", "<script src", "src=\"http", "href=\"http"} {
		if strings.Contains(page.Text, forbidden) {
			t.Errorf("the page after the sign-in holds %q", forbidden)
		}
	}
	if len(page.Outside) > 0 {
		t.Errorf("a page asked for %q, which is not on this machine", page.Outside)
	}
}

// Report tells the waiting test what the browser saw.
func Report(to string, page Page) error {
	body, err := json.Marshal(page)
	if err != nil {
		return err
	}
	resp, err := http.Post(to, "application/json", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report to the test: %w", err)
	}
	return resp.Body.Close()
}
