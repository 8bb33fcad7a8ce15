package grant

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// tolerated is how far this computer's clock may be wrong without more than a
// warning. Beyond that ID tokens are refused as well, and a person has to act.
const tolerated = 15 * time.Minute

// clocks are this computer's and the identity provider's, which each of its answers
// tells. An ID-JAG is for the authorization server to judge; the check of its times
// here (X9) is there to name a mistake where it is made. When it is our clock that is
// wrong the identity provider's own is the better judge, for whoever can change what
// it tells could change the ID-JAG as well.
type clocks struct {
	own    func() time.Time
	next   http.RoundTripper
	server time.Time // zero until it is known
}

func newClocks(own func() time.Time) *clocks {
	if own == nil {
		own = time.Now
	}
	return &clocks{own: own}
}

// on returns a client that notes what the server tells.
func (c *clocks) on(client *http.Client) *http.Client {
	noting := *client
	c.next, noting.Transport = client.Transport, c
	return &noting
}

// RoundTrip implements http.RoundTripper.
func (c *clocks) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		c.server, _ = http.ParseTime(resp.Header.Get("Date"))
	}
	return resp, err
}

// now is the time that an ID-JAG is judged by.
func (c *clocks) now() time.Time {
	own := c.own()
	if skew := own.Sub(c.server).Abs(); !c.server.IsZero() && skew > idjag.Leeway && skew <= tolerated {
		return c.server
	}
	return own
}

func (c *clocks) apart() string { return identity.Apart(c.own(), c.server) }

// judge looks again at the times of what came. Whatever this computer's clock says,
// nothing is good that had expired by the clock of who issued it.
func (c *clocks) judge(g idjag.Grant, err error) error {
	var check *idjag.CheckError
	end := g.Claims.Expires
	switch {
	case err == nil && !c.server.IsZero() && !end.IsZero() && !end.After(c.server):
		return &idjag.CheckError{Rule: "X9", What: "the ID-JAG had expired by the identity provider's own clock when it came"}
	case errors.As(err, &check) && check.Rule == "X9" && c.apart() != "":
		return fmt.Errorf("exchange identity assertion: %w", &idjag.CheckError{Rule: "X9", What: check.What + "; " + c.apart()})
	}
	return err
}
