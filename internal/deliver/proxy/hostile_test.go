package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a server says before its answer is filtered no less than the answer is.
func TestInformationalAnswersAreKeptBack(t *testing.T) {
	s := serve(t)
	s.up.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, "good")
	}
	resp := s.raw(t, "POST /wiki HTTP/1.1", "Host: HOST", "Authorization: Bearer KEY", "Content-Type: application/json", "Content-Length: 2", "", "{}")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// Nor what it says afterwards.
func TestTrailersAreKeptBack(t *testing.T) {
	s := serve(t)
	s.up.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Set-Cookie")
		io.WriteString(w, "good")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set(http.TrailerPrefix+"Access-Control-Allow-Origin", "*")
	}
	resp := s.do(t, "POST", "/wiki", "{}")
	if got := text(t, resp); got != "good" || len(resp.Trailer) > 0 || resp.Header.Get("Trailer") != "" {
		t.Errorf("got %q %v %v", got, resp.Header, resp.Trailer)
	}
}

// A server that accepts no token twice, or refuses what cannot be sent twice, must
// not have the identity provider asked for every request.
func TestRenewalIsBounded(t *testing.T) {
	now := time.Now()
	for name, body := range map[string]string{"kept": "{}", "long": `"` + strings.Repeat("x", maxReplay) + `"`} {
		s := serve(t, func(s *setup) { s.Now = func() time.Time { return now } })
		used := map[string]bool{}
		s.up.answer = func(w http.ResponseWriter, r *http.Request) {
			token := r.Header.Get("Authorization")
			if name == "long" || used[token] {
				w.WriteHeader(http.StatusUnauthorized)
			}
			used[token] = true
		}
		for range 10 {
			s.do(t, "POST", "/wiki", body)
		}
		if s.tokens.n > maxRenewed {
			t.Errorf("%s: %d new tokens", name, s.tokens.n)
		}
	}
}
