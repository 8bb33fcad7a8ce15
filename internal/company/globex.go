package company

import (
	"bytes"
	"context"
	"fmt"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// DocumentURL is where Acme publishes its Client ID Metadata Document for mcpauth:
// the client ID at every server that nobody has registered mcpauth with.
const DocumentURL = "https://tools.acme.example/mcpauth.json"

// Trusted is the policy of all authorization servers here: whose documents they
// read. The names below .example are nobody's (RFC 2606), so they mean what was
// published with Publish.
const Trusted = "*.example"

// trust takes documents by domain.
func (c *Company) trust() *idjagtest.CIMDPolicy {
	return &idjagtest.CIMDPolicy{Allow: []string{Trusted}, Fetch: c.fetch}
}

// Publish puts a document where the authorization servers find it. It stands for
// a web server at a name below .example, of which there can be none. A document
// that is there already is replaced.
func (c *Company) Publish(url string, document []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.published == nil {
		c.published = map[string][]byte{}
	}
	c.published[url] = bytes.Clone(document)
}

func (c *Company) fetch(_ context.Context, url string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	document, ok := c.published[url]
	if !ok {
		return nil, fmt.Errorf("nothing is published at %q", url)
	}
	return document, nil
}

// tracker is the server of another company. mcpauth is not registered there.
func (c *Company) tracker() *server {
	return &server{name: "tracker", owner: "Globex", as: c.Globex, scopes: []string{"parcels:read"}, tools: []string{"list_parcels"}, add: addTracker,
		client: idjagtest.Client{ID: DocumentURL, Method: idjagtest.AuthPrivateKeyJWT}}
}
