package clients

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// backupSuffix marks the copy of a file as it was before mcpauth first changed it.
const backupSuffix = ".mcpauth-backup"

// save writes the record and then the file: a record without its change fits no
// file and does no harm, a change without its record could not be undone exactly. It
// asks still last of all, and without it leaves the file alone.
func (e Editor) save(c Client, ch *Change, records map[string]*record, target string, mode os.FileMode, still func() (bool, error)) (done bool, err error) {
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
		return false, err
	}
	if ch.After == nil {
		if yes, err := still(); !yes || err != nil {
			return false, err
		}
		if err := os.Remove(target); err != nil {
			return false, err
		}
		old.removeFolders(filepath.Dir(target))
		return true, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return false, err
	}
	if original, ok := old.original(ch.Before); ch.Before != nil && len(ch.Removed) == 0 && !(ok && original == nil) {
		if ch.Backup, err = backUp(target, ch.Before, mode, ch.lossy); err != nil {
			return false, fmt.Errorf("back up %s: %w", target, err)
		}
	}
	if done, err = ownfile.ReplaceIf(target, ch.After, mode, still); !done {
		if ch.Backup != "" {
			err = errors.Join(err, os.Remove(ch.Backup))
		}
		return false, err
	}
	if len(ch.Removed) > 0 {
		ch.Backup, err = dropBackup(target, ch.After)
	}
	return true, err
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
// came. A copy that is different stays, and its path is returned.
func dropBackup(target string, text []byte) (left string, err error) {
	path := target + backupSuffix
	if old, _, err := ownfile.Read(path, maxFile); err == nil && bytes.Equal(old, text) {
		return "", os.Remove(path)
	}
	if exists(path) {
		return path, nil
	}
	return "", nil
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
