package idjagtest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Browser is an HTTP client that plays the person in front of a browser: it
// opens the authorization URL of an IdP or of an AS, fills the sign-in form if
// there is one, agrees on the consent page if there is one, and follows the
// redirect to the program that waits on loopback.
type Browser struct {
	HTTP     *http.Client // nil means http.DefaultClient; redirects are never followed by it
	Name     string       // what is typed as the person, or clicked in choose mode
	Password string
	Deny     bool // press Cancel on the first page
	Decline  bool // sign in, but press Decline on the consent page
}

// SignIn goes the whole way, callback included, and returns the callback URL.
// An error page, which has no callback, is an error.
func (b Browser) SignIn(ctx context.Context, authorizeURL string) (callbackURL string, err error) {
	callbackURL, err = b.Approve(ctx, authorizeURL)
	if err != nil {
		return "", err
	}
	resp, err := b.do(ctx, http.MethodGet, callbackURL, nil)
	if err != nil {
		return callbackURL, fmt.Errorf("visit callback: %w", noURL(err))
	}
	resp.Body.Close()
	return callbackURL, nil
}

// Approve signs in, agrees, and returns the callback URL without visiting it.
func (b Browser) Approve(ctx context.Context, authorizeURL string) (callbackURL string, err error) {
	resp, err := b.do(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return "", fmt.Errorf("open sign-in page: %w", noURL(err))
	}
	defer resp.Body.Close()
	for pages := 0; pages < 2 && resp.StatusCode == http.StatusOK; pages++ { // sign-in and consent
		if resp, err = b.fill(ctx, resp); err != nil {
			return "", err
		}
		defer resp.Body.Close()
	}
	location, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("sign in: the server answered %s without a redirect", resp.Status)
	}
	return location.String(), nil
}

// fill posts the form on a sign-in or consent page.
func (b Browser) fill(ctx context.Context, page *http.Response) (*http.Response, error) {
	text, err := io.ReadAll(io.LimitReader(page.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read sign-in page: %w", err)
	}
	action := regexp.MustCompile(`<form[^>]* action="([^"]+)"`).FindSubmatch(text)
	request := regexp.MustCompile(`name="request" value="([^"]+)"`).FindSubmatch(text)
	if action == nil || request == nil {
		return nil, errors.New("read sign-in page: it has no sign-in form")
	}
	target, err := page.Request.URL.Parse(html.UnescapeString(string(action[1])))
	if err != nil {
		return nil, fmt.Errorf("read sign-in page: %w", err)
	}
	form := url.Values{"request": {html.UnescapeString(string(request[1]))}}
	consent := regexp.MustCompile(`name="agree"`).Match(text)
	switch {
	case b.Deny, consent && b.Decline:
		form.Set("deny", "1")
	case consent:
		form.Set("agree", "1")
	default:
		form.Set("person", b.Name)
		if b.Password != "" {
			form.Set("password", b.Password)
		}
	}
	resp, err := b.do(ctx, http.MethodPost, target.String(), form)
	if err != nil {
		return nil, fmt.Errorf("send sign-in form: %w", noURL(err))
	}
	return resp, nil
}

func (b Browser) do(ctx context.Context, method, target string, form url.Values) (*http.Response, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := http.Client{}
	if b.HTTP != nil {
		client = *b.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client.Do(req)
}

// noURL drops the URL from an HTTP error: it may hold a code.
func noURL(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
