// Package cli is the command line: one file a verb, and explain.go, which turns
// an error into a hint and an exit code.
//
// Standard output is the answer and standard error the conversation. Everything a
// remote party wrote is cleaned before it is printed.
package cli

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Env is the world as the commands see it.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        func() []string // for programs that are run; nil means none
	Home           string
	Terminal       bool // a person can be asked on Stdin and reads Stderr

	// Browse shows an address to a person.
	Browse func(ctx context.Context, address string) error

	// CatchSignals is called before anything that takes time, once or more: from then
	// on a signal ends the context of Main. Before, it ends the process. nil means that
	// somebody else sees to it.
	CatchSignals func()

	Now func() time.Time // nil means time.Now
}

// OS is the real world.
func OS() Env {
	home, _ := os.UserHomeDir() // its absence is reported when it is needed
	return Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Home: home,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		Browse:   Browser(os.Getenv),
	}
}

func (e Env) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}
