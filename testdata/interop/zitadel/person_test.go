package zitadel_test

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

// signInVerb makes the test binary play the browser (laptop.Browse).
const signInVerb = "sign-in-as-test-user"

func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != signInVerb {
		os.Exit(m.Run())
	}
	text, err := signIn(os.Args[3])
	page := laptop.Page{Text: text}
	if err != nil {
		page.Problem = err.Error()
	}
	if err := laptop.Report(os.Args[2], page); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

// signIn opens the URL, fills the provider's form as a person would, and
// follows the redirects to mcpauth's own page, which it returns.
func signIn(start string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	page, form, err := read(client.Get(start))
	if err != nil {
		return "", fmt.Errorf("open the sign-in page: %w", err)
	}
	action, id := actionOf.FindStringSubmatch(form), idOf.FindStringSubmatch(form)
	if action == nil || id == nil {
		return "", fmt.Errorf("read the sign-in page at %s: no form in it", page.Path)
	}
	target, err := page.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return "", err
	}
	answer := url.Values{"id": {html.UnescapeString(id[1])}, "username": {userName}, "password": {userPassword}}
	_, result, err := read(client.PostForm(target.String(), answer))
	if err != nil {
		return "", fmt.Errorf("send the sign-in form: %w", err)
	}
	return result, nil
}

// read returns where a response came from and what it said.
func read(resp *http.Response, err error) (*url.URL, string, error) {
	if err != nil {
		// *url.Error prints the whole address, code and state with it.
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s answers %s", resp.Request.URL.Path, resp.Status)
	}
	return resp.Request.URL, string(body), nil
}

var (
	actionOf = regexp.MustCompile(`action="([^"]*)"`)
	idOf     = regexp.MustCompile(`name="id" value="([^"]*)"`)
)
