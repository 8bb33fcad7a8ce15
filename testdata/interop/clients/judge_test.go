package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// found is in the answer to searchArguments.
const found = "Onboarding"

// judge compares a visit with what the scenario lets succeed. The rest must have
// ended in an error that the client shows.
func (o *office) judge(t *testing.T, c client, f form, s scenario, r report) (problems []string) {
	t.Helper()
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if r.listed != (s.good > 0) {
		problem("the tool is listed: %v, want %v", r.listed, s.good > 0)
	}
	if complaint := c.complaint[f]; s.good == 0 && !strings.Contains(r.said, complaint) {
		problem("the client does not say %q", complaint)
	}
	if !c.listsOnly {
		for i := range s.calls {
			answer := ""
			if i < len(r.answers) {
				answer = r.answers[i]
			}
			switch ok := strings.Contains(answer, found); {
			case i < s.good && !ok:
				problem("call %d was answered %q, want %q in it", i+1, answer, found)
			case i >= s.good && ok:
				problem("call %d was answered %q, want an error", i+1, answer)
			case i >= s.good && answer == "" && c.complaint[f] == "", i >= s.good && answer == "" && s.good > 0:
				problem("call %d failed, and the client does not say so", i+1)
			}
		}
		if n := o.calls(); n != s.good {
			problem("%d calls reached the server, want %d", n, s.good)
		}
	}
	if s.good == s.calls {
		if token := o.must(t, "token", "wiki"); strings.Contains(r.said+r.sent, token) {
			problem("the access token is in what the client printed or told the model")
		} else if path := o.holder(t, token); path != "" {
			problem("the access token is in the file %s", path)
		}
	}
	return problems
}

// misconduct is what no client may do, whatever happens.
func (o *office) misconduct() (problems []string) {
	for _, sign := range o.consent() {
		problems = append(problems, "a consent flow was begun: "+sign)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, host := range o.outside {
		problems = append(problems, "something tried to leave this machine for "+host)
	}
	return problems
}

// TestConsentShows has a client without a credential walk into the consent flow
// that the authorization server offers: what misconduct looks for can be seen.
func TestConsentShows(t *testing.T) {
	t.Parallel()
	o := open(t)
	if r := listWithRemote(t, o); strings.Contains(r, tool) {
		t.Fatalf("mcp-remote got through without a credential:\n%s", r)
	}
	signs := strings.Join(o.consent(), "\n")
	for _, want := range []string{"a browser", registerPath} {
		if !strings.Contains(signs, want) {
			t.Errorf("the signs of consent are %q, want %q among them", signs, want)
		}
	}
}

// holder names a file in the home folder that has a secret in clear. Clients keep
// logs and transcripts there, and mcpauth its sealed files.
func (o *office) holder(t *testing.T, secret string) (found string) {
	t.Helper()
	err := filepath.WalkDir(o.home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var content []byte
			if content, err = os.ReadFile(path); bytes.Contains(content, []byte(secret)) {
				found = path
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the client has tidied up meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// story is what the company saw, line by line.
func (o *office) story() string {
	var b strings.Builder
	for _, e := range o.Log() {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

// calls counts the tool calls that reached the wiki in Alice's name.
func (o *office) calls() (n int) {
	for _, e := range o.Log() {
		if e.Party == "wiki" && e.Allowed && strings.HasSuffix(e.What, "by alice") {
			n++
		}
	}
	return n
}

// asked counts how often the client asked mcpauth for a credential.
func (o *office) asked() (n int) {
	for line := range strings.Lines(o.read(o.helperLog())) {
		if word, _, _ := strings.Cut(line, " "); word == "headers" || word == "token" || word == "bridge" {
			n++
		}
	}
	return n
}

func (o *office) read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// consent lists the signs of a consent screen or of a second sign-in: a browser,
// or a request that a managed server's client must never send.
func (o *office) consent() (signs []string) {
	if opened := o.read(o.browserLog()); opened != "" {
		signs = append(signs, "a browser: "+strings.TrimSpace(opened))
	}
	if n := o.IdP.Count(idjagtest.Authorize); n != 1 {
		signs = append(signs, fmt.Sprintf("%d requests to sign in at the identity provider, want the one of mcpauth login", n))
	}
	for _, r := range o.Docs.Requests() {
		if r.Path == authorizePath || r.Path == registerPath {
			signs = append(signs, "the authorization server was asked for "+r.Path)
		}
	}
	return signs
}
