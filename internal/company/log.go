package company

import (
	"fmt"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// Event is one thing a party of the company saw, for the narration.
type Event struct {
	Time    time.Time
	Party   string // "identity provider", "docs AS", "desk AS", "Globex AS", or a server's name
	What    string // for instance "exchange for alice -> wiki"
	Allowed bool
	Why     string // the reason of a refusal
}

// String is the event on one line.
func (e Event) String() string {
	if e.Allowed {
		return fmt.Sprintf("%s saw: %s, allowed", e.Party, e.What)
	}
	if e.Why == "" {
		return fmt.Sprintf("%s saw: %s, refused", e.Party, e.What)
	}
	return fmt.Sprintf("%s saw: %s, refused: %s", e.Party, e.What, e.Why)
}

// Log returns what every party saw, oldest first: sign-ins, tokens and tool
// calls, but not the reading of metadata and keys. It holds no secret.
func (c *Company) Log() []Event {
	c.mu.Lock()
	events := slices.Clone(c.calls)
	c.mu.Unlock()
	for _, party := range []struct {
		name     string
		requests []idjagtest.Request
	}{{"identity provider", c.IdP.Requests()}, {"docs AS", c.Docs.Requests()}, {"desk AS", c.Desk.Requests()}, {"Globex AS", c.Globex.Requests()}} {
		for _, r := range party.requests {
			if what := c.describe(r); what != "" {
				events = append(events, Event{Time: r.Time, Party: party.name, What: what,
					Allowed: r.Reason == "" && r.Status != 0, Why: r.Reason})
			}
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return events
}

// describe puts a request into words, "" for what is not worth telling.
func (c *Company) describe(r idjagtest.Request) string {
	who := r.Person
	if who == "" {
		who = "somebody"
	}
	switch r.What {
	case idjagtest.Authorize:
		if r.Error == "invalid_client" {
			return "request of an unknown client"
		}
		return "request to sign in"
	case idjagtest.SignInForm:
		return "sign-in of " + who
	case idjagtest.ConsentForm:
		return "consent of " + who + " to " + c.nameOf(r.Resource)
	case idjagtest.Code:
		return "code for tokens of " + who
	case idjagtest.Refresh:
		return "renewal for " + who
	case idjagtest.Exchange:
		return "exchange for " + who + " -> " + c.nameOf(r.Resource)
	case idjagtest.Redeem:
		return "ID-JAG of " + who + " -> access token for " + c.nameOf(r.Resource)
	case idjagtest.Revoke:
		return "revocation"
	}
	return ""
}

// nameOf turns a resource into the name people know it by.
func (c *Company) nameOf(resource string) string {
	for _, s := range c.servers {
		if s.url == resource {
			return s.name
		}
	}
	if resource == "" {
		return "nothing in particular"
	}
	return fmt.Sprintf("%q", resource)
}

// saw adds an event of an MCP server.
func (c *Company) saw(server, who, what string, allowed bool) {
	if who != "" {
		what += " by " + who
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, Event{Time: c.IdP.Clock(), Party: server, What: what, Allowed: allowed})
}
