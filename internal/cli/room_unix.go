//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"
)

// room returns an error where so few files may be opened that the Go runtime, which
// opens two of its own with the first, would end the program with a stack trace.
func room() error {
	for range 3 {
		fd, err := syscall.Dup(int(os.Stderr.Fd()))
		if err == syscall.EBADF { // there is no standard error
			return nil
		}
		if err != nil {
			return fmt.Errorf("open a file: %w", err)
		}
		defer func() { _ = syscall.Close(fd) }()
	}
	return nil
}
