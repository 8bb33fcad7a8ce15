package proxy

import "syscall"

// ownFolder: here the mode of a folder says nothing about who may use it.
func ownFolder(string) string { return "sockets are for Unix systems; use a port" }

// exclusive keeps another program of this computer from listening at our port as
// well, which Windows allows by default: it would be sent the secret.
func exclusive(_, _ string, c syscall.RawConn) error {
	const exclusiveUse = ^syscall.SO_REUSEADDR // SO_EXCLUSIVEADDRUSE
	var err error
	if control := c.Control(func(s uintptr) {
		err = syscall.SetsockoptInt(syscall.Handle(s), syscall.SOL_SOCKET, exclusiveUse, 1)
	}); control != nil {
		return control
	}
	return err
}
