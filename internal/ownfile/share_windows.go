package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Open opens a file for reading and lets others replace and remove it meanwhile,
// which after os.Open they cannot do here.
func Open(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var h syscall.Handle
	err = patiently(func() (err error) {
		const everything = syscall.FILE_SHARE_READ | syscall.FILE_SHARE_WRITE | syscall.FILE_SHARE_DELETE
		h, err = syscall.CreateFile(name, syscall.GENERIC_READ, everything, nil, syscall.OPEN_EXISTING, syscall.FILE_FLAG_BACKUP_SEMANTICS, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// Rename puts a file in the place of another one in the same folder. A Root does it
// while the other is open, as on other systems; not every file system lets it.
func Rename(from, to string) error {
	return patiently(func() error {
		root, err := os.OpenRoot(filepath.Dir(to))
		if err == nil {
			err = root.Rename(filepath.Base(from), filepath.Base(to))
			_ = root.Close()
		}
		if err != nil {
			err = os.Rename(from, to)
		}
		return err
	})
}

// Remove is os.Remove.
func Remove(path string) error {
	return patiently(func() error { return os.Remove(path) })
}

// patiently tries again for a second what cannot be done to a file while another
// program has it in hand: a virus scanner, a backup, an editor.
func patiently(do func() error) error {
	const inUse = syscall.Errno(32) // ERROR_SHARING_VIOLATION, which package syscall does not name
	for start := time.Now(); ; {
		err := do()
		if time.Since(start) > time.Second || !errors.Is(err, inUse) && !errors.Is(err, syscall.ERROR_ACCESS_DENIED) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
