package discover

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mcpauth/mcpauth/internal/strictjson"
)

// document is metadata being read. Its first error is kept, so that the fields
// can be read one after the other and the error looked at once.
type document struct {
	from    string
	members strictjson.Object
	err     error
}

func parseDocument(from string, body []byte) (*document, error) {
	d := &document{from: from}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return nil, webPage(from)
	}
	members, err := strictjson.Parse(body)
	if err != nil {
		return nil, d.malformed("%v", err)
	}
	d.members = members
	return d, nil
}

func (d *document) text(name string) string {
	s, err := d.members.Text(name)
	return keep(d, s, err)
}

func (d *document) texts(name string) []string {
	list, err := d.members.Texts(name)
	return keep(d, list, err)
}

func (d *document) flag(name string) bool {
	b, err := d.members.Bool(name)
	return keep(d, b, err)
}

func keep[T any](d *document, v T, err error) T {
	if err != nil && d.err == nil {
		d.err = d.malformed("%v", err)
	}
	return v
}

func (d *document) malformed(format string, args ...any) *Malformed {
	return &Malformed{URL: withoutQuery(d.from), Why: fmt.Sprintf(format, args...)}
}

func webPage(from string) *Malformed {
	return &Malformed{URL: withoutQuery(from), WebPage: true, Why: "got a web page, is a proxy in the way?"}
}

// quoted is how a stranger's identifier is written in an error: in quotes,
// without query, and not at a length that hides the rest.
func quoted(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if len(s) > maxShown {
		s = s[:maxShown] + "..."
	}
	return fmt.Sprintf("%q", s)
}
