package cli

import (
	"errors"
	"strings"

	"github.com/mcpauth/mcpauth/internal/clientkey"
	"github.com/mcpauth/mcpauth/internal/stage"
)

// explainClient is about who mcpauth is to authorization servers: its keys and its
// metadata document.
func explainClient(err error, _ *stage.Error, r *report) bool {
	var missing *clientkey.Missing
	var exists *clientkey.Exists
	var pending *clientkey.Pending
	var unusable *clientkey.Unusable
	var broken *brokenDocument
	switch {
	case errors.As(err, &broken):
		return r.is(exitBroken, "client_metadata", "what this computer would publish: mcpauth cimd generate --url "+bare(broken.url))
	case errors.As(err, &missing):
		return r.is(exitUsage, "no_key", "mcpauth keys generate "+missing.Name)
	case errors.As(err, &exists):
		return r.is(exitUsage, "key_exists", "to replace it: mcpauth keys rotate "+exists.Name)
	case errors.As(err, &pending) && pending.None:
		return r.is(exitUsage, "no_next_key", "mcpauth keys rotate "+pending.Name)
	case errors.As(err, &pending):
		return r.is(exitUsage, "next_key", "when it is published and read: mcpauth keys rotate "+pending.Name+" --finish")
	case errors.As(err, &unusable) && unusable.Stored:
		return r.is(exitUsage, "unusable_key", "make another one: mcpauth keys remove "+unusable.Name+", then mcpauth keys generate "+unusable.Name)
	case errors.As(err, &unusable):
		return r.is(exitUsage, "unusable_key", "mcpauth keys generate --help")
	}
	return false
}

// unproven is what to do about a client that an authorization server does not
// believe. One with a metadata document has nobody who gave it credentials.
func unproven(clientID, owner string) []string {
	if strings.HasPrefix(clientID, "https://") {
		return []string{"is the document right, with the key that signs? mcpauth cimd lint " + bare(clientID), "and does " + owner + " trust its host?"}
	}
	return []string{"check the credentials of the client " + clientID + " with " + owner}
}
