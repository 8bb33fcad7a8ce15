//go:build unix

package ownfile

import (
	"os"
	"syscall"
)

// Open opens a file for reading. A FIFO does not wait for its writer.
func Open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) }

// Rename is os.Rename. Elsewhere a file that somebody reads is in the way.
func Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func Remove(path string) error { return os.Remove(path) }
