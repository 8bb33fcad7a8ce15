package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/state"
)

// maxFile bounds a client's file. Claude Code keeps its history in the same file,
// which grows to some megabytes.
const maxFile = 32 << 20

// backupSuffix marks the copy of a file as it was before mcpauth first changed it.
const backupSuffix = ".mcpauth-backup"

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
	Backup        string   // the copy that was made, "" when there was one already or nothing to copy
	Rivals        []string // other entries with the URL of a server that was set up
}

// Changes reports whether anything is different afterwards.
func (c Change) Changes() bool {
	return (c.Before == nil) != (c.After == nil) || !bytes.Equal(c.Before, c.After)
}

// Entry returns how the client wants to have a server written down.
func (c Client) entry(s Server, q Request) object {
	if c.helper != nil && !q.Bridge {
		return c.helper(s, q.Run)
	}
	return c.bridge(s, q.Run)
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
	return e.edit(ctx, c, q.DryRun, func(ch *Change, _ *record) error { return c.setUp(ch, q) }, q.Force)
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
		m, _ := have[other].(map[string]any)
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
	return e.edit(ctx, c, dryRun, func(ch *Change, r *record) error { return c.tearDown(ch, r, servers) }, false)
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
func (e Editor) edit(ctx context.Context, c Client, dryRun bool, change func(*Change, *record) error, replaces bool) (Change, error) {
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
		r := records[target]
		if err := change(&ch, r); err != nil {
			if foreign := (*Foreign)(nil); errors.As(err, &foreign) {
				return ch, err
			}
			return ch, &Uneditable{path, err}
		}
		if dryRun || !ch.Changes() {
			return ch, nil
		}
		_, now, _, err := ownfile.ReadTarget(path, maxFile)
		if err != nil {
			return ch, err
		}
		if !bytes.Equal(now, before) || (now == nil) != (before == nil) {
			continue
		}
		// The record goes first. Without the change it fits no file, and does no
		// harm; a change without its record could not be undone exactly.
		if records[target] = r.after(before, ch.After, len(ch.Removed) == 0 && !c.hasOurs(before)); records[target] == nil {
			delete(records, target)
		}
		if before == nil && records[target] != nil {
			records[target].Folder = missing(filepath.Dir(target))
		}
		if err := e.keep(records); err != nil {
			return ch, err
		}
		if err := ch.write(target, mode, replaces && len(ch.Replaced) > 0); err != nil {
			return ch, err
		}
		if ch.After == nil {
			r.removeFolders(filepath.Dir(target))
		}
		return ch, nil
	}
}

// missing returns the outermost folder that has to be made for dir, "" for none.
func missing(dir string) (outermost string) {
	for ; !exists(dir) && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		outermost = dir
	}
	return outermost
}

// removeFolders removes what was made for a file, as far as it is empty.
func (r *record) removeFolders(dir string) {
	for r.Folder != "" && len(dir) >= len(r.Folder) && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
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

// write backs the file up and puts the new text in its place.
func (ch *Change) write(target string, mode os.FileMode, another bool) (err error) {
	switch {
	case ch.After == nil:
		return os.Remove(target)
	case ch.Before == nil:
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
	case len(ch.Removed) == 0:
		if ch.Backup, err = backUp(target, ch.Before, mode, another); err != nil {
			return fmt.Errorf("back up %s: %w", target, err)
		}
	}
	if err := ownfile.Replace(target, ch.After, mode); err != nil {
		return err
	}
	if backup := target + backupSuffix; len(ch.Removed) > 0 {
		// Everything is as it was before mcpauth came: its copy has no use left.
		if old, _, err := ownfile.Read(backup, maxFile); err == nil && bytes.Equal(old, ch.After) {
			return os.Remove(backup)
		}
	}
	return nil
}

// backUp copies a file once. When something is lost that mcpauth did not write, it
// makes another copy beside the first.
func backUp(target string, text []byte, mode os.FileMode, another bool) (string, error) {
	path := target + backupSuffix
	for i := 2; exists(path); i++ {
		if !another {
			return "", nil
		}
		path = fmt.Sprint(target, backupSuffix, "-", i)
	}
	return path, ownfile.Replace(path, text, mode)
}
