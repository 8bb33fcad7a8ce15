//go:build unix

package state

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	nonBlock = unix.O_NONBLOCK
	noFollow = unix.O_NOFOLLOW

	// localDisk is the same for all processes, which $TMPDIR is not: some MCP clients
	// give their helpers no variables.
	localDisk = "/tmp"
)

// distrust says why a file or folder must not be believed by the user uid, and
// "" when it may be.
func distrust(fi fs.FileInfo, uid int) string {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
		return fmt.Sprintf("it belongs to user id %d", st.Uid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return wideMode
	}
	return ""
}

// Mine reports whether the file belongs to the user this process runs as.
func Mine(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|nonBlock|noFollow, 0) }

// syncFolder makes a rename survive a power cut.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
