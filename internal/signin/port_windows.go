package signin

import "syscall"

const portTaken = syscall.Errno(10048) // WSAEADDRINUSE, which package syscall does not name

// exclusive keeps another program of this computer from listening at our port as
// well, which Windows allows by default (attack S11).
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
