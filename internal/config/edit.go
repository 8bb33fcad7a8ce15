package config

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// fresh is what a new file starts with.
const fresh = `// mcpauth: who signs you in, and which MCP servers you use.
// Comments are fine and stay when mcpauth edits this file. Secrets do not belong here.
{}
`

// lockRetry is how often a waiting edit looks whether the lock is free.
const lockRetry = 20 * time.Millisecond

// Edit changes the file at path, which need not exist. Comments, order and
// formatting of everything else stay as they are. The result must be a file
// that Load accepts, otherwise the old one stays; so it does when change fails.
// A link is followed: its target is replaced, not the link. Edits wait for each
// other until ctx ends, and a save by an editor meanwhile is not overwritten.
func Edit(ctx context.Context, path string, change func(*Doc) error) error {
	if err := edit(ctx, path, change); err != nil {
		return fmt.Errorf("edit the configuration: %w", err)
	}
	return nil
}

func edit(ctx context.Context, path string, change func(*Doc) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil && !ownfile.Lockless(err) { // then ReplaceIf is all there is
		return fmt.Errorf("wait for %s: %w", lock.Path(), err)
	}
	defer lock.Close() // the lock file stays: removing it would let two processes lock two files
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := editOnce(path, change)
		if done || err != nil {
			return err
		}
	}
}

// editOnce reports false when the file changed under its hands.
func editOnce(path string, change func(*Doc) error) (done bool, err error) {
	target, before, mode, err := ownfile.ReadTarget(path, maxFile)
	if err != nil {
		return false, err
	}
	text, marked := bytes.CutPrefix(before, mark)
	doc := newDoc(path, text)
	if _, err := fileLayer(path, doc.text.Bytes()); err != nil {
		return false, err
	}
	if err := change(doc); err != nil {
		return false, err
	}
	if _, err := fileLayer(path, doc.text.Bytes()); err != nil {
		return false, fmt.Errorf("the result would not load, nothing was changed: %w", err)
	}
	after := doc.text.Bytes()
	if marked {
		after = slices.Concat(mark, after)
	}
	if before != nil && bytes.Equal(after, before) {
		return true, nil
	}
	return ownfile.ReplaceIf(target, after, mode, func() (bool, error) {
		_, now, _, err := ownfile.ReadTarget(path, maxFile)
		return bytes.Equal(now, before) && (now == nil) == (before == nil), err
	})
}
