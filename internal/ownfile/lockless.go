package ownfile

import (
	"errors"
	"syscall"
)

// Lockless reports that a file could not be locked because its file system has no
// locks, or none just now: NFS while its lock daemon is away, Lustre as it is mounted
// on many clusters.
func Lockless(err error) bool {
	for _, no := range []error{syscall.ENOLCK, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
