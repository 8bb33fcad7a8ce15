// Package ownfile reads and replaces files of the person's own: the configuration
// of mcpauth, and those of MCP clients. It refuses what another account could have
// written, and replaces a file whole or not at all.
//
// It comes before every stage of the flow. Files of the state folder have stricter
// rules, and package state for them.
package ownfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unsafe says that a file or folder cannot be trusted as it lies there.
type Unsafe struct {
	Path string
	Why  string
}

func (e *Unsafe) Error() string { return fmt.Sprintf("refuse %s: %s", e.Path, e.Why) }

// ReadSecret is Read for a file that holds a secret: one of the user's own
// must not be readable by others either. A file of the administrator may be,
// because container platforms mount secrets that way and leave no choice.
func ReadSecret(path string, max int64) ([]byte, error) {
	data, info, err := Read(path, max)
	if err == nil {
		if why := readableByOthers(info); why != "" {
			return nil, &Unsafe{path, why}
		}
	}
	return data, err
}

// Read reads a file of at most max bytes that only its user, or the system's
// administrator, can have written. Links are followed, since dotfile managers and
// container secrets are made of them; what counts is the file that was opened. A
// FIFO or a device cannot make it wait.
func Read(path string, max int64) ([]byte, os.FileInfo, error) {
	f, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &Unsafe{path, "it is not a regular file"}
	}
	if why := WritableByOthers(info); why != "" {
		return nil, nil, &Unsafe{path, why}
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) > max {
		return nil, nil, &Unsafe{path, fmt.Sprintf("it is longer than %d bytes", max)}
	}
	return data, info, nil
}

// ReadTarget reads the file that path leads to. A file that is not there has nil
// content and the mode 0600; a link to nothing is an error. target is what others
// will find the file at as well, whichever way they come.
func ReadTarget(path string, max int64) (target string, data []byte, mode os.FileMode, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return resolve(path), nil, 0o600, nil
	}
	if target, err = filepath.EvalSymlinks(path); err != nil {
		return "", nil, 0, err
	}
	data, info, err := Read(target, max)
	if err != nil {
		return "", nil, 0, err
	}
	if data == nil {
		data = []byte{}
	}
	return target, data, info.Mode().Perm(), nil
}

// Real is the absolute path without links, also of what is not there yet.
func Real(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return resolve(path)
}

// resolve is filepath.EvalSymlinks, also for a path whose end is not there: it will
// have the same name when it is.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir := filepath.Dir(path)
	if dir == path {
		return path
	}
	return filepath.Join(resolve(dir), filepath.Base(path))
}

// Replace puts data where path is, whole or not at all, under any umask.
func Replace(path string, data []byte, mode os.FileMode) error {
	_, err := ReplaceIf(path, data, mode, func() (bool, error) { return true, nil })
	return err
}

// ReplaceIf is Replace for a file that other programs write as well: ok is asked when
// everything but the rename is done, and the file stays as it is if that says no. What
// comes before takes milliseconds, in which a program that runs can write much.
func ReplaceIf(path string, data []byte, mode os.FileMode, ok func() (bool, error)) (done bool, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".mcpauth-*.tmp")
	if err != nil {
		return false, err
	}
	defer func() {
		if !done {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	if yes, err := ok(); !yes || err != nil {
		return false, err
	}
	if err = Rename(f.Name(), path); err != nil {
		return false, err
	}
	syncFolder(filepath.Dir(path))
	return true, nil
}

// syncFolder makes the rename survive a power cut. Not every system can, and
// the file is already in place, so its failure is none of ours.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
