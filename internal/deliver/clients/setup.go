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

	lossy bool // something that is not mcpauth's is not in the text after
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
		_, now, _, err := ownfile.ReadTarget(path, maxFile)
		if err != nil {
			return ch, err
		}
		if bytes.Equal(now, before) && (now == nil) == (before == nil) {
			return ch, e.save(c, &ch, records, target, mode)
		}
	}
}

// save writes the record and then the file: a record without its change fits no
// file and does no harm, a change without its record could not be undone exactly.
func (e Editor) save(c Client, ch *Change, records map[string]*record, target string, mode os.FileMode) error {
	old := records[target]
	next := old.after(ch.Before, ch.After, len(ch.Removed) == 0 && !c.hasOurs(ch.Before))
	if next == nil {
		delete(records, target)
	} else {
		records[target] = next
		if ch.Before == nil {
			next.Folder = missing(filepath.Dir(target))
		}
	}
	if err := e.keep(records); err != nil {
		return err
	}
	if ch.After == nil {
		if err := os.Remove(target); err != nil {
			return err
		}
		old.removeFolders(filepath.Dir(target))
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if original, ok := old.original(ch.Before); ch.Before != nil && len(ch.Removed) == 0 && !(ok && original == nil) {
		var err error
		if ch.Backup, err = backUp(target, ch.Before, mode, ch.lossy); err != nil {
			return fmt.Errorf("back up %s: %w", target, err)
		}
	}
	if err := ownfile.Replace(target, ch.After, mode); err != nil {
		return err
	}
	if len(ch.Removed) > 0 {
		return dropBackup(target, ch.After)
	}
	return nil
}

// backUp copies a file once, and tells where to; "" when there was a copy. What is
// lossy gets one more copy, beside the first.
func backUp(target string, text []byte, mode os.FileMode, lossy bool) (string, error) {
	path := target + backupSuffix
	for i := 2; exists(path); i++ {
		if !lossy {
			return "", nil
		}
		path = fmt.Sprint(target, backupSuffix, "-", i)
	}
	return path, ownfile.Replace(path, text, mode)
}

// dropBackup removes the copy of a file that is again as it was before mcpauth
// came.
func dropBackup(target string, text []byte) error {
	path := target + backupSuffix
	if old, _, err := ownfile.Read(path, maxFile); err == nil && bytes.Equal(old, text) {
		return os.Remove(path)
	}
	return nil
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
