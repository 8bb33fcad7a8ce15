package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// UnsafeFile says that a file or folder cannot be trusted as it lies there.
type UnsafeFile struct {
	Path string
	Why  string
}

func (e *UnsafeFile) Error() string { return fmt.Sprintf("refuse %s: %s", e.Path, e.Why) }

// readOwn reads a file of at most max bytes that only its user, or the
// system's administrator, can have written. Links are followed, since dotfile
// managers and container secrets are made of them; what counts is the file that
// was opened. A FIFO or a device cannot make it wait.
func readOwn(path string, max int64) ([]byte, error) {
	data, _, err := readFile(path, max)
	return data, err
}

// readSecret is readOwn for a file that holds a secret: one of the user's own
// must not be readable by others either. A file of the administrator may be,
// because container platforms mount secrets that way and leave no choice.
func readSecret(path string, max int64) ([]byte, error) {
	data, info, err := readFile(path, max)
	if err == nil {
		if why := readableByOthers(info); why != "" {
			return nil, &UnsafeFile{path, why}
		}
	}
	return data, err
}

func readFile(path string, max int64) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &UnsafeFile{path, "it is not a regular file"}
	}
	if why := writableByOthers(info); why != "" {
		return nil, nil, &UnsafeFile{path, why}
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) > max {
		return nil, nil, &UnsafeFile{path, fmt.Sprintf("it is longer than %d bytes", max)}
	}
	return data, info, nil
}

// replaceFile puts data where path is, whole or not at all, under any umask.
func replaceFile(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".mcpauth-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
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
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// syncFolder makes the rename survive a power cut. Not every system can, and
// the file is already in place, so its failure is none of ours.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
