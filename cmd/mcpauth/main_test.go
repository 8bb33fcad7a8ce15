package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/internal/cli"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// TestMain makes this test binary the programs of the scripts: every mcpauth in a
// script is a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mcpauth": recorded, "browser": browser, "byhand": byHand, "idle": func() {}, "child": child})
}

// child is a program for mcpauth to run: "child env NAME" prints a variable, "child
// cat ARG…" its standard input and then its arguments, "child exit CODE" ends,
// "child wait CODE" does so when it is interrupted, and "child interrupt PID" is a
// person's Ctrl-C for another program.
func child() {
	switch args := os.Args[2:]; os.Args[1] {
	case "env":
		fmt.Println(os.Getenv(args[0]))
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		must(err)
		fmt.Println(strings.Join(args, "|"))
	case "exit", "wait":
		code, err := strconv.Atoi(args[0])
		must(err)
		if os.Args[1] == "wait" {
			interrupted := make(chan os.Signal, 1)
			signal.Notify(interrupted, os.Interrupt)
			fmt.Println("waiting")
			<-interrupted
		}
		os.Exit(code)
	case "interrupt":
		pid, err := strconv.Atoi(args[0])
		must(err)
		must(interrupt(pid))
	}
}

// recorded is main, with everything that goes to the streams written down as well
// so that the end of the script can look for secrets in it, and with a clock that
// the script can move.
func recorded() {
	env := cli.OS()
	if dir := os.Getenv("TRANSCRIPT"); dir != "" {
		log, err := os.OpenFile(filepath.Join(dir, "stderr"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(log, "$ mcpauth", strings.Join(env.Args, " "))
		env.Stderr = io.MultiWriter(env.Stderr, log)
		secret := func(arg string) bool { return slices.Contains([]string{"token", "headers", "id-jag", "env"}, arg) }
		if !slices.ContainsFunc(env.Args, secret) {
			env.Stdout = io.MultiWriter(env.Stdout, log)
		}
	}
	if ahead, err := time.ParseDuration(os.Getenv("CLOCK")); err == nil {
		env.Now = func() time.Time { return time.Now().Add(ahead) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, env))
}

// browser is the person: it signs in at the address and comes back.
func browser() {
	fmt.Println("browser chatter") // must not reach anybody's standard output
	visit(os.Args[len(os.Args)-1])
}

// byHand runs a command and opens the address that it prints, as a person does
// who was told to.
func byHand() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout = os.Stdout
	stderr, err := cmd.StderrPipe()
	must(err)
	must(cmd.Start())
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(os.Stderr, lines.Text())
		if address := strings.TrimSpace(lines.Text()); strings.HasPrefix(address, "http") {
			visit(address)
		}
	}
	if cmd.Wait() != nil {
		os.Exit(cmd.ProcessState.ExitCode())
	}
}

// visit goes through the sign-in. FORGE has the query of a false answer come in
// before the true one; {state} in it is the true state.
func visit(address string) {
	b := idjagtest.Browser{Name: os.Getenv("PERSON"), Password: os.Getenv("PASSWORD"), Deny: os.Getenv("DENY") != ""}
	callback, err := b.Approve(context.Background(), address)
	must(err)
	if forged := os.Getenv("FORGE"); forged != "" {
		u, err := url.Parse(callback)
		must(err)
		u.RawQuery = strings.ReplaceAll(forged, "{state}", u.Query().Get("state"))
		if status := get(u.String()); status != http.StatusBadRequest {
			must(fmt.Errorf("a forged answer got %d", status))
		}
	}
	get(callback)
}

func get(address string) int {
	resp, err := http.Get(address)
	must(err)
	resp.Body.Close()
	return resp.StatusCode
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the person's browser:", err)
		os.Exit(1)
	}
}
