package bridge_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// judge is a server that demands a proof of possession with every request (RFC 9449
// sections 4.3, 7.1 and 9), before the handler behind it sees the request.
type judge struct {
	t          *testing.T
	thumbprint string
	nonce      func() string // the one that counts now; "" for none
	behind     http.Handler

	mu   sync.Mutex
	used map[string]bool
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nonce := j.nonce()
	if nonce != "" {
		w.Header().Set("DPoP-Nonce", nonce)
	}
	given, err := j.proof(r)
	if err != nil {
		j.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if given != nonce {
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	j.behind.ServeHTTP(w, r)
}

// proof returns the nonce in the proof of a request.
func (j *judge) proof(r *http.Request) (nonce string, err error) {
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	if !ok || len(r.Header.Values("Dpop")) != 1 {
		return "", fmt.Errorf("headers %v", r.Header)
	}
	signed, err := jose.ParseSignedCompact(r.Header.Get("Dpop"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", err
	}
	payload, err := signed.Verify(signed.Signatures[0].Header.JSONWebKey)
	if err != nil {
		return "", err
	}
	print, err := signed.Signatures[0].Header.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil || base64.RawURLEncoding.EncodeToString(print) != j.thumbprint {
		return "", errors.New("another key")
	}
	var c struct{ Jti, Htm, Htu, Ath, Nonce string }
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(access))
	if c.Htm != r.Method || c.Htu != "http://"+r.Host+r.URL.Path || c.Ath != base64.RawURLEncoding.EncodeToString(hash[:]) {
		return "", fmt.Errorf("claims %s", payload)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.used[c.Jti] {
		return "", errors.New("a proof that was used before")
	}
	j.used[c.Jti] = true
	return c.Nonce, nil
}

// bound is a source of tokens that are bound to one key.
func bound(t *testing.T) (*dpop.Prover, *tokens) {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &dpop.Prover{Key: key}
	return p, &tokens{give: func(n int, _ token.Ask) (token.Token, error) {
		tok := numbered(n)
		tok.Type, tok.Prover = "DPoP", p
		return tok, nil
	}}
}

// Every request of a session has its own proof: POST, the session's stream, the
// stream that is taken up again, and DELETE; and a nonce that the server changes is
// no refusal of the token.
func TestProofs(t *testing.T) {
	p, source := bound(t)
	var mu sync.Mutex
	round := 0
	s := sessions(func(w http.ResponseWriter, r *http.Request, _ string) {
		switch {
		case r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") == "":
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.Method == http.MethodPost:
			mu.Lock()
			round++ // the proofs that are made by now are too old
			mu.Unlock()
			event(w, "id: e1\nretry: 1\ndata:\n\n")
		default:
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		}
	})
	j := &judge{t: t, thumbprint: p.Key.Thumbprint(), behind: s, used: map[string]bool{}, nonce: func() string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint("nonce-", round)
	}}
	r := start(t, serve(t, j), func(o *bridge.Options) { o.Token = source.get })
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, ask1)
	diff(t, "answer", []string{`{"jsonrpc":"2.0","id":1,"result":{}}`}, r.hear(t, 1))
	mu.Lock()
	round++
	mu.Unlock()
	r.in.Close()
	<-r.ended
	methods := map[string]bool{}
	for _, q := range s.requests() {
		methods[q.method] = true
	}
	diff(t, "methods", map[string]bool{"POST": true, "GET": true, "DELETE": true}, methods)
	diff(t, "posts", []string{"initialize", "initialized", "call"}, names(s.posts()))
	if n := len(source.asked()); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func names(posts []string) (list []string) {
	for _, p := range posts {
		switch {
		case strings.Contains(p, `"initialize"`):
			list = append(list, "initialize")
		case strings.Contains(p, "initialized"):
			list = append(list, "initialized")
		default:
			list = append(list, "call")
		}
	}
	return list
}

// What a server says about a proof is no word about the token; what it says about a
// bound token is said under another scheme, and means the same.
func TestProofRefused(t *testing.T) {
	for _, test := range []struct {
		name, challenge string
		code            string // of the answer, "" if the call succeeds
		requests, asks  int
	}{
		{"a nonce each time", `DPoP error="use_dpop_nonce"`, "proof_refused", 2, 1},
		{"the proof", `Bearer, DPoP error="invalid_dpop_proof"`, "proof_refused", 1, 1},
		{"the token, once", `DPoP error="invalid_token"`, "", 2, 2},
		{"the token, beside Bearer", `DPoP error="invalid_token", Bearer error="insufficient_scope", scope="x"`, "", 2, 2},
		{"a scope", `DPoP error="insufficient_scope", scope="x"`, "insufficient_scope", 1, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, source := bound(t)
			s := &strict{}
			s.answer = func(w http.ResponseWriter, r *http.Request, _ string) {
				if len(s.requests()) > 1 && test.code == "" {
					say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
					return
				}
				w.Header().Set("DPoP-Nonce", fmt.Sprint(len(s.requests())))
				w.Header().Set("WWW-Authenticate", test.challenge)
				w.WriteHeader(http.StatusUnauthorized)
			}
			r := start(t, serve(t, s), func(o *bridge.Options) { o.Token, o.Explain = source.get, inWords })
			r.say(t, ask1)
			got := r.hear(t, 1)[0]
			if !strings.Contains(got, `"code":"`+test.code+`"`) && (test.code != "" || !strings.Contains(got, "result")) {
				t.Errorf("answer %s", got)
			}
			diff(t, "requests, asks", [2]int{test.requests, test.asks}, [2]int{len(s.requests()), len(source.asked())})
		})
	}
}

// A person may have to agree before there is a token.
func TestTokenTime(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) }}
	for given, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Minute: 5 * time.Minute} {
		left := make(chan time.Duration, 1)
		r := start(t, serve(t, s), func(o *bridge.Options) {
			o.TokenTime = given
			o.Token = func(ctx context.Context, _ token.Ask) (token.Token, error) {
				end, _ := ctx.Deadline()
				left <- time.Until(end)
				return token.Token{AccessToken: secret.New("t"), Expires: time.Now().Add(time.Hour)}, nil
			}
		})
		r.say(t, ask1)
		r.hear(t, 1)
		if got := <-left; got > want || got < want-10*time.Second {
			t.Errorf("TokenTime %v gives %v", given, got)
		}
	}
}
