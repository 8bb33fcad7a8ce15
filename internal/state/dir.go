// Package state keeps what is not secret: who is signed in, which
// authorization server each MCP server is pinned to, when things expire, the
// metadata cache, and the lock files that make processes take turns.
//
// It comes before every stage of the flow and knows none of them. Secrets are
// the business of package vault, which keeps its sealed files in the same
// folder.
//
//	d := state.Open("/home/ada/.local/state/mcpauth")
//	f, warnings, err := d.Read()
//	err := d.Update(ctx, func(f *state.File) error { f.Identities["acme"] = id; return nil })
package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// Dir is a folder that belongs to mcpauth. It is safe for concurrent use, by
// goroutines and by processes.
type Dir struct {
	path string
	Now  func() time.Time // nil means time.Now
	Warn func(string)     // is told once that files cannot be locked; nil drops it

	updates updates
	turns   turns
	solo    solo
	warned  sync.Once
	memo    memo
	judged  atomic.Bool // the folder of the locks is our own
	swept   sync.Map    // folders in which nothing is left of the dead, by path
}

// Open names the folder and touches nothing: it is made, with mode 0700, by the
// first write.
func Open(path string) *Dir { return &Dir{path: path} }

// Path returns the folder's path as given to Open.
func (d *Dir) Path() string { return d.path }

// Unusable reports a file that is there and must not be believed: somebody else
// owns it or may write it, or it is not a plain file (rule S20).
type Unusable struct{ Path, Why string }

func (e *Unusable) Error() string { return fmt.Sprintf("refuse to read %s: %s", e.Path, e.Why) }

// ReadFile reads name, a slash-separated path inside the folder. It returns an
// error that is fs.ErrNotExist when there is none, and *Unusable for a symbolic
// link, anything but a plain file, a foreign owner, a file or a folder that
// others may write, and a file of more than max bytes.
//
// It opens without blocking, so that a FIFO cannot hang the caller, and judges the
// file it has open, not the name, which may have changed meanwhile.
func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	path, err := d.join(name)
	if err != nil {
		return nil, err
	}
	f, err := open(path)
	if err == nil {
		defer f.Close()
	}
	folder := filepath.Dir(path)
	if fi, err := os.Stat(folder); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	} else if why := distrust(fi, os.Geteuid()); why != "" {
		return nil, &Unusable{folder, why}
	}
	if err != nil {
		if why := unopenable(path, err); why != "" {
			return nil, &Unusable{path, why}
		}
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !fi.Mode().IsRegular() {
		return nil, &Unusable{path, notPlain}
	}
	if why := distrust(fi, os.Geteuid()); why != "" {
		return nil, &Unusable{path, why}
	}
	var b bytes.Buffer
	b.Grow(int(min(fi.Size(), max)) + bytes.MinRead) // so that one read is enough
	if _, err := b.ReadFrom(io.LimitReader(f, max+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(b.Len()) > max {
		return nil, &Unusable{path, fmt.Sprintf("it has more than %d bytes", max)}
	}
	return b.Bytes(), nil
}

const notPlain = "it is not a plain file"

// unopenable says what is wrong with a file that could not be opened, and "" for
// trouble that has other reasons, such as too many open files.
func unopenable(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	fi, bad := os.Lstat(path)
	switch {
	case bad != nil: // the folder is in the way
		return ""
	case !fi.Mode().IsRegular():
		return notPlain
	case errors.Is(err, fs.ErrPermission):
		return "its permissions do not let this user read it"
	}
	return ""
}

// WriteFile replaces name as one step: a reader, and whoever comes after a
// crash, finds the old content or the new one. Mode 0600 under any umask.
func (d *Dir) WriteFile(name string, data []byte) error { return d.replaceFile(name, data, durable) }

// WriteSpare is WriteFile for what can be had again: it may be lost in a power cut.
func (d *Dir) WriteSpare(name string, data []byte) error { return d.replaceFile(name, data, spare) }

// care is what a power cut may do to a file that was just written. Each step costs a
// wait for the disk, which can be longer than a request.
type care int

const (
	spare   care = iota // it may be torn
	untorn              // it is as it was before, or as it was written
	durable             // it is as it was written
)

func (d *Dir) replaceFile(name string, data []byte, c care) error {
	path, err := d.join(name)
	if err != nil {
		return err
	}
	if err := d.write(path, data, c); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (d *Dir) write(path string, data []byte, c care) (err error) {
	folder := filepath.Dir(path)
	if err := d.makeFolder(folder); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if c >= untorn {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err = ownfile.Rename(f.Name(), path); err != nil {
		// A folder where a file belongs would stand in the way for ever.
		if fi, bad := os.Lstat(path); bad == nil && fi.IsDir() {
			if err = os.Rename(path, fmt.Sprintf("%s%s.%d", path, asideSuffix, d.now().UnixNano())); err == nil {
				err = ownfile.Rename(f.Name(), path)
			}
		}
	}
	if err != nil {
		return err
	}
	if _, done := d.swept.LoadOrStore(folder, true); !done {
		sweep(folder, d.now())
	}
	if c < durable {
		return nil
	}
	return syncFolder(folder)
}

// Remove deletes name, and what Aside left of it. That it is absent already is no
// error.
func (d *Dir) Remove(name string) error {
	path, err := d.join(name)
	if err != nil {
		return err
	}
	for _, p := range []string{path + asideSuffix, path} {
		if err := ownfile.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// RemoveFolder deletes the subfolder name and everything in it.
func (d *Dir) RemoveFolder(name string) error {
	path, err := d.join(name)
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// join refuses names that leave the folder. Names are made by this program, so
// this is a guard against our own mistakes.
func (d *Dir) join(name string) (string, error) {
	if d.path == "" || name == "." || !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("%q is not a file of the state folder %q", name, d.path)
	}
	return filepath.Join(d.path, filepath.FromSlash(name)), nil
}

// makeFolder makes path and what is missing above it, and narrows our own
// folder to 0700 when somebody widened it.
func (d *Dir) makeFolder(path string) error {
	if err := mkdir(path); err != nil {
		return err
	}
	for _, p := range []string{d.path, path} {
		fi, err := os.Stat(p)
		if err != nil {
			return err
		}
		if why := distrust(fi, os.Geteuid()); why != "" && why != wideMode {
			return &Unusable{p, why}
		} else if why == wideMode {
			if err := os.Chmod(p, 0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

// mkdir is os.MkdirAll with the mode set whatever the umask is.
func mkdir(path string) error {
	fi, err := os.Stat(path)
	if err == nil && !fi.IsDir() {
		return &Unusable{path, "it is not a folder"}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(path); parent != path {
		if err := mkdir(parent); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(path, 0o700); {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(path, 0o700)
}

const (
	tempPrefix = ".tmp-"
	wideMode   = "others may write it"
)

// sweep removes what processes that were killed while writing left behind.
func sweep(folder string, now time.Time) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if fi, err := e.Info(); err == nil && now.Sub(fi.ModTime()) > time.Hour {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// Hash turns a name of any shape into one that every file system takes.
func Hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

func (d *Dir) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}
