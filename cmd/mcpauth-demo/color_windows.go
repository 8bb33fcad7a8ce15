package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// hasColors has the console read what colors are written in, which it does when it
// is asked to.
func hasColors(f *os.File) bool {
	console, mode := windows.Handle(f.Fd()), uint32(0)
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
