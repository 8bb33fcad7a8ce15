//go:build !windows

package signin

import "syscall"

const portTaken = syscall.EADDRINUSE

// exclusive has nothing to do where a second listener is refused anyway.
func exclusive(string, string, syscall.RawConn) error { return nil }
