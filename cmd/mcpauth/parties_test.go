package main

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// hold keeps a request of one kind waiting.
type hold struct{ hit, release chan struct{} }

// party makes the command that changes one of the fakes in the middle of a script:
//
//	PARTY fault KIND FAULT [OPTION…]   what comes instead of an answer (faultOf)
//	PARTY quirk [QUIRK [+ QUIRK]…]     how answers are bent (quirkOf); none ends it
//	PARTY hold KIND                    keep the next request of a kind waiting
//	PARTY await KIND                   until it has come
//	PARTY release KIND                 and let it go on
//	PARTY down                         nobody answers any more
//
// and what only one of them can do: idpCmd and call.
func party(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		o := theOffice(ts)
		p := o.parties()[name]
		if args[0] == "call" { // with the token that the last command printed
			status, err := call(o.MCP.URL(), strings.TrimSpace(ts.ReadFile("stdout")))
			ts.Check(err)
			if (status == http.StatusOK) == neg {
				ts.Fatalf("the MCP server answered %d", status)
			}
			return
		}
		must0(ts, neg)
		switch args[0] {
		case "fault":
			p.SetFault(args[1], faultOf(ts, args[2:]))
		case "quirk":
			p.SetQuirks(quirksOf(ts, args[1:])...)
		case "hold":
			h := &hold{make(chan struct{}), make(chan struct{})}
			o.held[name+args[1]] = h
			p.SetFault(args[1], idjagtest.Fault{Times: 1, Wait: h.release, OnHit: func() { close(h.hit) }})
		case "await":
			select {
			case <-o.held[name+args[1]].hit:
			case <-time.After(10 * time.Second):
				ts.Fatalf("no request for %s came", args[1])
			}
		case "release":
			close(o.held[name+args[1]].release)
		case "down":
			p.Close()
		default:
			idpCmd(ts, o, args)
		}
	}
}

func idpCmd(ts *testscript.TestScript, o *office, args []string) {
	switch args[0] {
	case "revoke-sessions":
		o.IdP.RevokeSessions(o.Person.Subject)
	case "revoke-person":
		o.IdP.RevokePerson(o.Person.Subject)
	case "revoke-connection":
		o.IdP.RevokeConnection(o.Connection.Resource)
	case "rotate-keys":
		ts.Check(o.IdP.RotateKeys(false))
	case "id-token-lifetime":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		o.IdP.SetIDTokenLifetime(d)
	case "mint-id-token": // FILE [claim=value …]
		raw := o.MintIDToken(func(_, claims map[string]any) {
			for _, kv := range args[2:] {
				k, v, _ := strings.Cut(kv, "=")
				claims[k] = value(o, v)
			}
		})
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(raw), 0o600))
	default:
		ts.Fatalf("unknown command %q", args[0])
	}
}

func call(url, token string) (int, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// value reads an argument: a time of the company's clock (now-1h), JSON, or text.
func value(o *office, arg string) (v any) {
	if ago, ok := strings.CutPrefix(arg, "now"); ok {
		if d, err := time.ParseDuration(ago); err == nil {
			return o.Now().Add(d).Unix()
		}
	}
	if json.Unmarshal([]byte(arg), &v) != nil {
		return arg
	}
	return v
}

// quirksOf reads quirks, with "+" between them:
//
//	member KIND NAME [VALUE]   a member of the JSON answer; without a value it is left out
//	claim NAME [VALUE]         a claim of the ID-JAG
//	id-claim GRANT NAME [V]    a claim of the ID token of a grant, code or refresh
//	type TYP                   the JOSE type of the ID-JAG
//	slash-audience             a final slash more or less in its audience
func quirksOf(ts *testscript.TestScript, args []string) (quirks []idjagtest.Quirk) {
	for len(args) > 0 {
		end := slices.Index(args, "+")
		if end < 0 {
			end = len(args)
		}
		q := append(args[:end:end], "", "", "")
		given := func(i int) any {
			if i >= end {
				return nil
			}
			return value(theOffice(ts), q[i])
		}
		switch q[0] {
		case "member":
			quirks = append(quirks, idjagtest.Member(q[1], q[2], given(3)))
		case "claim":
			quirks = append(quirks, idjagtest.Claim(q[1], given(2)))
		case "id-claim":
			quirks = append(quirks, idjagtest.IDTokenClaim(q[1], q[2], given(3)))
		case "type":
			quirks = append(quirks, idjagtest.WrongType(q[1]))
		case "slash-audience":
			quirks = append(quirks, idjagtest.SlashAudience())
		default:
			ts.Fatalf("unknown quirk %q", q[0])
		}
		args = args[min(end+1, len(args)):]
	}
	return quirks
}

// faultOf reads a fault: an OAuth code, or one of a few words, and options.
func faultOf(ts *testscript.TestScript, args []string) (f idjagtest.Fault) {
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "html":
		f = idjagtest.HTML()
	case "hang":
		f.Hang = true
	case "reset":
		f.Reset = true
	case "lost":
		f.LoseReply = true
	case "huge":
		f.Huge = 4 << 20
	case "redirect":
		f.Redirect = "https://elsewhere.example/token"
	case "poisoned":
		f = idjagtest.Poisoned("invalid_request")
	case "none", "raw":
	default:
		f.Code = args[0]
	}
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "status":
			f.Status = number(value)
		case "times":
			f.Times = number(value)
		case "description":
			f.Description = value
		case "retry-after":
			f.RetryAfter = value
		case "body":
			f.Body = idjagtest.Text(value)
		default:
			ts.Fatalf("unknown fault option %q", arg)
		}
	}
	return f
}
