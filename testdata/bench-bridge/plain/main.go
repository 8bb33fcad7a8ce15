// Command plain is the least that a bridge can be with package net/http: a line in, a
// request, its answer out. It knows no token, no session, no stream and no second era.
// What it costs on a machine no bridge of this make can go below by much.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run(url string) error {
	to := &http.Transport{MaxIdleConnsPerHost: 64}
	var mu sync.Mutex // of standard output
	lines := bufio.NewReaderSize(os.Stdin, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			answer, err := post(to, url, line)
			if err != nil {
				fmt.Fprintln(os.Stderr, "plain:", err)
				os.Exit(1)
			}
			if len(answer) == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			os.Stdout.Write(append(answer, '\n'))
		}()
	}
}

func post(to *http.Transport, url string, msg []byte) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := to.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
