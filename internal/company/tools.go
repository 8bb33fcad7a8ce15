package company

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type page struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

func pages() []page {
	return []page{
		{"Onboarding", "Welcome to Acme. Sign in once in the morning; every tool knows you after that."},
		{"Release checklist", "Tag, build, sign, announce. Never on a Friday."},
		{"Expenses", "Send receipts to finance by the fifth of the month."},
		{"Incident guide", "Open a ticket first, then fix it, then write down what happened."},
	}
}

func addWiki(s *mcp.Server) {
	type query struct {
		Query string `json:"query" jsonschema:"words to look for; empty finds every page"`
	}
	type titles struct {
		Titles []string `json:"titles"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "search_pages", Description: "Find wiki pages by a word in their title or text."},
		func(_ context.Context, _ *mcp.CallToolRequest, in query) (*mcp.CallToolResult, titles, error) {
			found := titles{Titles: []string{}}
			for _, p := range pages() {
				if strings.Contains(strings.ToLower(p.Title+" "+p.Text), strings.ToLower(in.Query)) {
					found.Titles = append(found.Titles, p.Title)
				}
			}
			return nil, found, nil
		})
	type title struct {
		Title string `json:"title" jsonschema:"the exact title of the page"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "read_page", Description: "Read one wiki page."},
		func(_ context.Context, _ *mcp.CallToolRequest, in title) (*mcp.CallToolResult, page, error) {
			for _, p := range pages() {
				if p.Title == in.Title {
					return nil, p, nil
				}
			}
			return nil, page{}, fmt.Errorf("there is no page %q", in.Title)
		})
}

type ticket struct {
	Number   int    `json:"number"`
	Title    string `json:"title"`
	Reporter string `json:"reporter"`
}

func addTickets(s *mcp.Server) {
	var mu sync.Mutex
	open := []ticket{{1, "Printer on floor 2 prints only the letter A", "alice"}, {2, "Coffee machine answers with 418", "bob"}}
	type tickets struct {
		Tickets []ticket `json:"tickets"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "list_tickets", Description: "List the open tickets."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, tickets, error) {
			mu.Lock()
			defer mu.Unlock()
			return nil, tickets{slices.Clone(open)}, nil
		})
	type title struct {
		Title string `json:"title" jsonschema:"what is wrong, in one line"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "create_ticket", Description: "Open a ticket in the name of the person who is signed in."},
		func(_ context.Context, req *mcp.CallToolRequest, in title) (*mcp.CallToolResult, ticket, error) {
			if extra := req.Extra; extra == nil || extra.TokenInfo == nil || !slices.Contains(extra.TokenInfo.Scopes, "tickets:write") {
				return nil, ticket{}, fmt.Errorf("the access token lacks scope tickets:write")
			}
			mu.Lock()
			defer mu.Unlock()
			t := ticket{Number: len(open) + 1, Title: in.Title, Reporter: person(req.Extra)}
			open = append(open, t)
			return nil, t, nil
		})
}

func addPayroll(s *mcp.Server) {
	type salary struct {
		Name   string `json:"name"`
		Salary int    `json:"salary" jsonschema:"a year, in euros"`
	}
	type salaries struct {
		Salaries []salary `json:"salaries"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "read_salaries", Description: "Read what everybody earns."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, salaries, error) {
			return nil, salaries{[]salary{{"Alice Arden", 84_000}, {"Bob Byrne", 79_000}}}, nil
		})
}

func addTracker(s *mcp.Server) {
	type parcel struct {
		Number int    `json:"number"`
		Where  string `json:"where"`
	}
	type parcels struct {
		Parcels []parcel `json:"parcels"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "list_parcels", Description: "List the parcels that are on their way to you."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, parcels, error) {
			return nil, parcels{[]parcel{{1138, "on a ship"}, {1139, "at the customs"}}}, nil
		})
}
