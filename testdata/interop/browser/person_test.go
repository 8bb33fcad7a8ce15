package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/mcpauth/mcpauth/testdata/interop/laptop"
)

// signInVerb makes the test binary drive Chromium (laptop.Browse).
const signInVerb = "sign-in-as-alice"

func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != signInVerb {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	if err := laptop.Report(os.Args[2], signIn(ctx, os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
	}
}

// signIn does what alice does: type a name and a password, say yes, and read
// the page that mcpauth leaves her with.
func signIn(ctx context.Context, start string) laptop.Page {
	// A browser that reaches loopback and nothing else; as root it needs
	// --no-sandbox.
	ctx, cancel := chromedp.NewExecAllocator(ctx,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(900, 700))
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()

	page := laptop.Page{Screens: map[string][]byte{}}
	if err := walk(ctx, start, &page); err != nil {
		page.Problem = err.Error()
	}
	return page
}

// What a person looks for on the pages of any server.
const (
	nameField     = `[autocomplete="username"]`
	passwordField = `[type="password"]`
	yesButton     = `button:not([name="deny"])`
)

// walk fills page as far as it gets. The first picture is taken of the real
// sign-in page, the last one of mcpauth's own.
func walk(ctx context.Context, start string, page *laptop.Page) error {
	requests := 0
	err := chromedp.Listen(ctx, func(event any) {
		request, ok := event.(*network.EventRequestWillBeSent)
		if !ok {
			return
		}
		requests++
		if !isHere(request.Request.URL) {
			page.Outside = append(page.Outside, request.Request.URL)
		}
	})
	if err != nil {
		return fmt.Errorf("start Chromium: %w", err)
	}
	// turn takes the steps that lead to the next page, waits until it is there,
	// and takes a picture of it.
	turn := func(name string, steps ...chromedp.Action[chromedp.Void]) error {
		resp, err := chromedp.RunResponse(ctx, steps...)
		if err != nil {
			return fmt.Errorf("come to the %s page: %w", name, err)
		}
		if resp.Status != http.StatusOK {
			return fmt.Errorf("come to the %s page: status %d", name, resp.Status)
		}
		page.Screens[name], err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		return err
	}
	if err := turn("sign-in", chromedp.Navigate(start)); err != nil {
		return err
	}
	if err := turn("consent", chromedp.SendKeys(nameField, userName), chromedp.SendKeys(passwordField, userPassword), chromedp.Click(yesButton)); err != nil {
		return err
	}
	if page.Consent, err = chromedp.Run(ctx, chromedp.Text("body")); err != nil {
		return fmt.Errorf("read the consent page: %w", err)
	}
	if err := turn("result", chromedp.Click(yesButton)); err != nil {
		return err
	}
	if page.Text, err = chromedp.Run(ctx, chromedp.OuterHTML("html")); err != nil {
		return fmt.Errorf("read the last page: %w", err)
	}
	if requests < 3 {
		return fmt.Errorf("watch the requests: saw %d for three pages", requests)
	}
	return nil
}

// isHere reports whether an address stays on this machine or inside the page.
func isHere(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Hostname() == "127.0.0.1" || u.Scheme == "data" || u.Scheme == "about" || u.Scheme == "blob")
}
