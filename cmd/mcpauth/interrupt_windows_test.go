package main

import (
	"os"
	"os/signal"
	"syscall"
)

// apart starts a program that is interrupted alone: Ctrl-C goes to all who share a
// console, so that it has one of its own.
var apart = &syscall.SysProcAttr{CreationFlags: 0x08000000} // CREATE_NO_WINDOW

func interrupt(pid int) error {
	kernel := syscall.NewLazyDLL("kernel32.dll")
	signal.Ignore(os.Interrupt)
	_, _, _ = kernel.NewProc("FreeConsole").Call()
	if done, _, err := kernel.NewProc("AttachConsole").Call(uintptr(pid)); done == 0 {
		return err
	}
	if done, _, err := kernel.NewProc("GenerateConsoleCtrlEvent").Call(syscall.CTRL_C_EVENT, 0); done == 0 {
		return err
	}
	return nil
}
