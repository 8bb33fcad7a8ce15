package bridge_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

const ask1 = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}`

// demand refuses with status and challenge until a token is in good.
func demand(status int, challenge string, good ...string) *strict {
	return &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
		for _, g := range good {
			if r.Header.Get("Authorization") == "Bearer "+g {
				say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				return
			}
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(status)
	}}
}

// What a 401 or a 403 leads to: how often the server and the source are asked, and
// what the client hears. Protocol 1.8.
func TestChallenges(t *testing.T) {
	scoped := func(list ...[]string) func(int, token.Ask) (token.Token, error) {
		return func(n int, _ token.Ask) (token.Token, error) { return numbered(n, list[min(n, len(list))-1]...), nil }
	}
	for _, test := range []struct {
		name   string
		server *strict
		give   func(int, token.Ask) (token.Token, error)
		max    []string
		asks   int
		posts  int
		want   string // in what the client hears
	}{
		{"401 renews once", demand(401, `Bearer error="invalid_token"`, "token-2"), nil, nil, 2, 2, `"result"`},
		{"401 with no challenge renews once", demand(401, ``, "token-2"), nil, nil, 2, 2, `"result"`},
		{"401 with a challenge that cannot be read renews once", demand(401, `Bearer error="`, "token-2"), nil, nil, 2, 2, `"result"`},
		{"401 again ends it", demand(401, `Bearer`, "never"), nil, nil, 2, 2, `"token_refused"`},
		{"401 and the same token again ends it", demand(401, `Bearer`, "never"), func(int, token.Ask) (token.Token, error) { return numbered(1), nil }, nil, 2, 1, `"token_refused"`},
		{"401 and no other token to be had", demand(401, `Bearer`, "never"), func(n int, _ token.Ask) (token.Token, error) {
			if n > 1 {
				return token.Token{}, errors.New("the sign-in has ended")
			}
			return numbered(n), nil
		}, nil, 2, 1, `the sign-in has ended`},
		{"a stronger sign-in is the person's business", demand(401, `Bearer error="insufficient_user_authentication", acr_values="high", max_age=60`, "never"), nil, nil, 1, 1, `insufficient_user_authentication high 1m0s`},
		{"403 steps up", demand(403, `Bearer error="insufficient_scope", scope="write"`, "token-2"), scoped([]string{"read"}, []string{"read", "write"}), nil, 2, 2, `"result"`},
		{"403 stops when nothing is granted", demand(403, `Bearer error="insufficient_scope", scope="write"`, "never"), scoped([]string{"read"}, []string{"read"}), nil, 2, 1, `"insufficient_scope"`},
		{"403 stops when what is granted does not help", demand(403, `Bearer error="insufficient_scope", scope="write"`, "never"), scoped([]string{"read"}, []string{"read", "write"}), nil, 2, 2, `"insufficient_scope"`},
		{"403 within the cap", demand(403, `Bearer error="insufficient_scope", scope="write"`, "token-2"), scoped([]string{"read"}, []string{"read", "write"}), []string{"write"}, 2, 2, `"result"`},
		{"403 beyond the cap", demand(403, `Bearer error="insufficient_scope", scope="write admin"`, "never"), scoped([]string{"read"}), []string{"write"}, 1, 1, `"beyond_max_scopes"`},
		{"403 without a scope", demand(403, `Bearer error="insufficient_scope"`, "never"), scoped([]string{"read"}), nil, 1, 1, `"insufficient_scope"`},
		{"403 for another reason", demand(403, `Bearer error="access_denied"`, "never"), nil, nil, 1, 1, `"forbidden"`},
		{"401 and then 403", &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
			switch r.Header.Get("Authorization") {
			case "Bearer token-1":
				w.WriteHeader(401)
			case "Bearer token-2":
				w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="write"`)
				w.WriteHeader(403)
			default:
				say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			}
		}}, scoped(nil, nil, []string{"write"}), nil, 3, 3, `"result"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := &tokens{give: test.give}
			r := start(t, serve(t, test.server), func(o *bridge.Options) {
				o.Token, o.MaxScopes, o.Explain = source.get, test.max, func(err error) bridge.Failure {
					var e *endpoint.Error
					if errors.As(err, &e) {
						return bridge.Failure{Message: e.Code + " " + e.ACRValues + " " + e.MaxAge.String()}
					}
					return inWords(err)
				}
			})
			r.say(t, ask1)
			if got := r.hear(t, 1)[0]; !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := len(source.asked()); n != test.asks {
				t.Errorf("the source was asked %d times, want %d: %+v", n, test.asks, source.asked())
			}
			posts := test.server.posts()
			if len(posts) != test.posts {
				t.Errorf("%d posts, want %d", len(posts), test.posts)
			}
			for _, p := range posts {
				diff(t, "post", ask1, p)
			}
		})
	}
}

// A server that is never satisfied does not make the bridge ask for ever.
func TestStepUpEnds(t *testing.T) {
	n := 0
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
		n++
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="s`+strings.Repeat("x", n)+`"`)
		w.WriteHeader(403)
	}}
	source := &tokens{give: func(n int, ask token.Ask) (token.Token, error) {
		t := numbered(1, ask.Scopes...)
		t.Expires = time.Now().Add(time.Duration(n) * time.Hour)
		return t, nil
	}}
	r := start(t, serve(t, s), func(o *bridge.Options) { o.Token, o.Explain = source.get, inWords })
	for range 20 {
		r.say(t, ask1)
		if got := r.hear(t, 1)[0]; !strings.Contains(got, "insufficient_scope") {
			t.Fatalf("got %s", got)
		}
	}
	if n := len(source.asked()); n > 6 {
		t.Errorf("the source was asked %d times", n)
	}
}

// Nor does one that makes up a scope for each of many operations.
func TestVainStepUpsEnd(t *testing.T) {
	n := 0
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
		n++
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope="s%d"`, n))
		w.WriteHeader(403)
	}}
	for name, give := range map[string]func(int, token.Ask) (token.Token, error){
		"not granted": func(int, token.Ask) (token.Token, error) { return numbered(1), nil },
		"refused": func(_ int, ask token.Ask) (token.Token, error) {
			if ask.Scopes != nil {
				return token.Token{}, errors.New("invalid_scope")
			}
			return numbered(1), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := &tokens{give: give}
			now := time.Now()
			r := start(t, serve(t, s), func(o *bridge.Options) {
				o.Token, o.Explain, o.Now = source.get, inWords, func() time.Time { return now }
			})
			call := func(i int) string {
				r.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t%d"}}`, i))
				return r.hear(t, 1)[0]
			}
			last := ""
			for i := range 40 {
				last = call(i)
			}
			if n := len(source.asked()); n != 21 || !strings.Contains(last, "one scope after another") {
				t.Errorf("the source was asked %d times; in the end: %s", n, last)
			}
			now = now.Add(10 * time.Minute)
			call(40)
			if n := len(source.asked()); n < 22 {
				t.Error("a while later it is not asked")
			}
		})
	}
}

// A server that takes no token, or none of them twice, does not have a new one
// issued for every call.
func TestRefusalsEnd(t *testing.T) {
	for name, row := range map[string]struct {
		accepts func(seen map[string]int, auth string) bool
		most    int // tokens
	}{
		"none":      {func(map[string]int, string) bool { return false }, 2},
		"not twice": {func(seen map[string]int, auth string) bool { return seen[auth] == 1 }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]int{}
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				auth := r.Header.Get("Authorization")
				if seen[auth]++; !row.accepts(seen, auth) {
					w.WriteHeader(401)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			}}
			source := &tokens{}
			r := start(t, serve(t, s), func(o *bridge.Options) { o.Token = source.get })
			for range 20 {
				r.say(t, ask1)
				r.hear(t, 1)
			}
			if n := len(source.asked()); n > row.most {
				t.Errorf("the source was asked %d times, want %d at most", n, row.most)
			}
		})
	}
}

// What is asked for is the union of what there was and what is wanted.
func TestStepUpUnion(t *testing.T) {
	source := &tokens{give: func(n int, ask token.Ask) (token.Token, error) {
		if ask.Scopes == nil {
			return numbered(n, "read"), nil
		}
		return numbered(n, ask.Scopes...), nil
	}}
	r := start(t, serve(t, demand(403, `Bearer error="insufficient_scope", scope="write admin"`, "token-2")), func(o *bridge.Options) {
		o.Token, o.Scopes = source.get, []string{"base"}
	})
	r.say(t, ask1)
	r.hear(t, 1)
	diff(t, "scopes", []string{"admin", "base", "read", "write"}, source.asked()[1].Scopes)
}

// Signed out is an error of each call; a sign-in in another terminal ends it.
func TestRecovers(t *testing.T) {
	signedIn := false
	source := &tokens{give: func(int, token.Ask) (token.Token, error) {
		if !signedIn {
			return token.Token{}, errors.New("you are not signed in")
		}
		return numbered(1), nil
	}}
	clock := &tokens{}
	now := time.Now()
	s := demand(401, "", "token-1")
	r := start(t, serve(t, s), func(o *bridge.Options) {
		o.Token = source.get
		o.Now = func() time.Time { clock.mu.Lock(); defer clock.mu.Unlock(); return now }
	})
	for range 10 {
		r.say(t, ask1)
		if got := r.hear(t, 1)[0]; !strings.Contains(got, "not signed in") {
			t.Fatal(got)
		}
	}
	if n := len(source.asked()); n != 1 {
		t.Errorf("asked %d times within a moment", n)
	}
	source.mu.Lock()
	signedIn = true
	source.mu.Unlock()
	clock.mu.Lock()
	now = slept(t, now, 2*time.Second)
	clock.mu.Unlock()
	r.say(t, ask1)
	if got := r.hear(t, 1)[0]; !strings.Contains(got, "result") {
		t.Fatal(got)
	}
	if n := len(s.posts()); n != 1 {
		t.Errorf("%d posts without a token", n-1)
	}
}

// A token is renewed before it expires, by one question however many calls.
func TestRenewsEarly(t *testing.T) {
	source := &tokens{give: func(n int, _ token.Ask) (token.Token, error) {
		t := numbered(n)
		if n == 1 {
			t.Expires = time.Now().Add(-time.Minute)
		}
		return t, nil
	}}
	s := demand(401, "", "token-2", "token-1")
	r := start(t, serve(t, s), func(o *bridge.Options) { o.Token = source.get })
	for range 20 {
		r.say(t, ask1)
	}
	r.hear(t, 20)
	if n := len(source.asked()); n > 3 {
		t.Errorf("asked %d times", n)
	}
}

// The token goes to the server's URL and nowhere else, not even below a redirect.
func TestRedirectGetsNothing(t *testing.T) {
	other := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {}}
	elsewhere := serve(t, other)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
		}}
		r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain = inWords })
		r.say(t, hello, inited)
		if got := r.hear(t, 1)[0]; !strings.Contains(got, `"redirect"`) {
			t.Errorf("%d: %s", status, got)
		}
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("%d requests elsewhere", n)
	}
}

// A step-up that failed for want of a person says so each time, and once the person
// has done what was asked for it is tried again.
func TestStepUpWaitsForPerson(t *testing.T) {
	var mu sync.Mutex
	now, agreed := time.Now(), false
	source := &tokens{give: func(n int, ask token.Ask) (token.Token, error) {
		mu.Lock()
		defer mu.Unlock()
		if ask.Scopes != nil && !agreed {
			return token.Token{}, errors.New("you have to agree")
		}
		return numbered(n, ask.Scopes...), nil
	}}
	s := demand(403, `Bearer error="insufficient_scope", scope="write"`, "token-9")
	r := start(t, serve(t, s), func(o *bridge.Options) {
		o.Token, o.Now = source.get, func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = slept(t, now, d)
	}
	for i := range 7 {
		r.say(t, ask1)
		if got := r.hear(t, 1)[0]; !strings.Contains(got, "you have to agree") {
			t.Fatalf("call %d: %s", i, got)
		}
		if i == 0 {
			continue // and again at once, which asks nobody
		}
		pass(3 * time.Minute)
	}
	if n := len(source.asked()); n != 7 {
		t.Errorf("asked %d times", n)
	}
	mu.Lock()
	agreed = true
	mu.Unlock()
	pass(10 * time.Second)
	r.say(t, ask1)
	if got := r.hear(t, 1)[0]; strings.Contains(got, "you have to agree") {
		t.Errorf("after agreeing: %s", got)
	}
	if asks := source.asked(); len(asks) != 8 || !slices.Contains(asks[7].Scopes, "write") {
		t.Errorf("%d asks", len(asks))
	}
}
