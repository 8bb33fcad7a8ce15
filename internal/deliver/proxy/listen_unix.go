//go:build unix

package proxy

import (
	"fmt"
	"os"
	"syscall"
)

// ownFolder says why a folder does not keep others out, "" if it does.
func ownFolder(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return "its folder cannot be used: " + err.Error()
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.IsDir():
		return path + " is not a folder"
	case !ok || int(st.Uid) != os.Geteuid():
		return "its folder belongs to another account"
	case fi.Mode().Perm()&0o077 != 0:
		return fmt.Sprintf("its folder is open to others (mode %04o, must be 0700)", fi.Mode().Perm())
	}
	return ""
}

// exclusive: here a port has one listener.
func exclusive(_, _ string, _ syscall.RawConn) error { return nil }
