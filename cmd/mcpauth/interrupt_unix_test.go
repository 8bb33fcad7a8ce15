//go:build unix

package main

import "syscall"

// apart starts a program that is interrupted alone.
var apart *syscall.SysProcAttr

func interrupt(pid int) error { return syscall.Kill(pid, syscall.SIGINT) }
