package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/state"
)

// maxFile bounds a client's file. Claude Code keeps its history in the same file,
// which grows to some megabytes.
const maxFile = 32 << 20

// Foreign says that an entry of this name is there, and that mcpauth did not write
// it.
type Foreign struct{ Client, Server, Path, Name string }

func (e *Foreign) Error() string {
	return fmt.Sprintf("%s has an entry %q already that is not mcpauth's", e.Path, e.Name)
}

// Uneditable says that a file cannot be changed without harm.
type Uneditable struct {
	Path string
	Err  error
}

func (e *Uneditable) Error() string { return fmt.Sprintf("cannot edit %s: %v", e.Path, e.Err) }

func (e *Uneditable) Unwrap() error { return e.Err }

// NoFile says that a client has no file that could be edited on this system.
type NoFile struct{ Client string }

func (e *NoFile) Error() string { return e.Client + " has no configuration file on this system" }

// Editor does the work on one computer. All fields are required.
type Editor struct {
	Place Place
	State *state.Dir
}

// Request says what to set up.
type Request struct {
	Servers []Server
	Run     Run
	Bridge  bool // the bridge even where the client runs a header helper
	Force   bool // replace entries that are not mcpauth's
	DryRun  bool // find out, and change nothing
}

// Change is what was done to a file, or would be.
type Change struct {
	Path          string // as the client knows it
	Before, After []byte // nil for a file that is not there
	Added         []string
	Replaced      []string
	Same          []string // were there already
	Removed       []string
	Backup        string   // the copy that setup made, or that teardown left; "" for none
	Rivals        []string // other entries with the URL of a server that was set up

	lossy bool // something that is not mcpauth's is not in the text after
}

// Changes reports whether anything is different afterwards.
func (c Change) Changes() bool {
	return (c.Before == nil) != (c.After == nil) || !bytes.Equal(c.Before, c.After)
}

// Snippet is what a person pastes into a client that has no file to edit.
func (c Client) Snippet(q Request) (string, error) {
	text := []byte("{}\n")
	for _, s := range q.Servers {
		var err error
		if text, err = c.insert(text, s.key(), c.entry(s, q)); err != nil {
			return "", err
		}
	}
	return string(text), nil
}

// Setup writes entries for the servers.
func (e Editor) Setup(ctx context.Context, c Client, q Request) (Change, error) {
	return e.edit(ctx, c, q.DryRun, func(ch *Change, _ *record) error { return c.setUp(ch, q) })
}

// setUp computes the text after a setup.
func (c Client) setUp(ch *Change, q Request) error {
	text := ch.Before
	if text == nil {
		text = []byte(c.fresh)
	}
	have, err := c.entries(text)
	if err != nil {
		return err
	}
	for i, s := range q.Servers {
		name, entry := s.key(), c.entry(s, q)
		if slices.ContainsFunc(q.Servers[:i], func(other Server) bool { return other.key() == name }) {
			return fmt.Errorf("two servers would both be called %q there", name)
		}
		old, there := have[name]
		switch {
		case there && covers(old, entry.plain()):
			ch.Same = append(ch.Same, name)
			continue
		case there && !isOurs(name, old) && !q.Force:
			return &Foreign{c.ID, s.Name, ch.Path, name}
		case there:
			ch.lossy = ch.lossy || !isOurs(name, old)
			if text, err = c.remove(text, name); err != nil {
				return err
			}
			ch.Replaced = append(ch.Replaced, name)
		default:
			ch.Added = append(ch.Added, name)
		}
		if text, err = c.insert(text, name, entry); err != nil {
			return err
		}
		ch.Rivals = append(ch.Rivals, rivals(have, name, s.URL)...)
	}
	if len(ch.Added)+len(ch.Replaced) > 0 {
		ch.After = text
	}
	return nil
}

// rivals are other entries with the same URL: the client would connect twice, once
// by a sign-in of its own.
func rivals(have map[string]any, name, url string) (list []string) {
	for _, other := range slices.Sorted(maps.Keys(have)) {
		m := connection(have[other])
		for _, key := range []string{"url", "httpUrl", "serverUrl", "uri"} {
			if other != name && m[key] == url {
				list = append(list, other)
			}
		}
	}
	return list
}

// Teardown takes entries out again: those with the given names, or all that start
// mcpauth. A file that is as setup left it gets its bytes back, and one that setup
// made is removed.
func (e Editor) Teardown(ctx context.Context, c Client, servers []Server, dryRun bool) (Change, error) {
	return e.edit(ctx, c, dryRun, func(ch *Change, r *record) error { return c.tearDown(ch, r, servers) })
}

func (c Client) tearDown(ch *Change, r *record, servers []Server) error {
	if ch.Before == nil {
		return nil
	}
	have, err := c.entries(ch.Before)
	if err != nil {
		return err
	}
	left := 0
	for _, name := range slices.Sorted(maps.Keys(have)) {
		switch {
		case !isOurs(name, have[name]):
			// Somebody else's: it stays, whatever its name is.
		case len(servers) == 0 || slices.ContainsFunc(servers, func(s Server) bool { return s.key() == name }):
			ch.Removed = append(ch.Removed, name)
		default:
			left++
		}
	}
	if len(ch.Removed) == 0 {
		return nil
	}
	if original, ok := r.original(ch.Before); ok && left == 0 {
		ch.After = original
		return nil
	}
	text := ch.Before
	for _, name := range ch.Removed {
		if text, err = c.remove(text, name); err != nil {
			return err
		}
	}
	ch.After = text
	return nil
}

// edit reads the file, lets change work out the text after it, and writes that. A
// client may write its file at any time: then the work starts again.
func (e Editor) edit(ctx context.Context, c Client, dryRun bool, change func(*Change, *record) error) (Change, error) {
	path := c.File(e.Place)
	if path == "" {
		return Change{}, &NoFile{c.Name}
	}
	if !dryRun {
		unlock, err := e.State.Lock(ctx, recordsFile)
		if err != nil {
			return Change{}, err
		}
		defer unlock()
	}
	for {
		if err := ctx.Err(); err != nil {
			return Change{}, err
		}
		target, before, mode, err := ownfile.ReadTarget(path, maxFile)
		if err != nil {
			return Change{}, err
		}
		ch := Change{Path: path, Before: before, After: before}
		records := e.records()
		if err := change(&ch, records[target]); err != nil {
			if foreign := (*Foreign)(nil); errors.As(err, &foreign) {
				return ch, err
			}
			return ch, &Uneditable{path, err}
		}
		if dryRun || !ch.Changes() {
			return ch, nil
		}
		done, err := e.save(c, &ch, records, target, mode, func() (bool, error) {
			_, now, _, err := ownfile.ReadTarget(path, maxFile)
			return bytes.Equal(now, before) && (now == nil) == (before == nil), err
		})
		if done || err != nil {
			return ch, err
		}
	}
}

func (c Client) hasOurs(src []byte) bool {
	have, err := c.entries(src)
	for name, entry := range have {
		if isOurs(name, entry) {
			return true
		}
	}
	return err != nil
}
