package signin

import (
	"errors"
	"net/url"
	"testing"
)

const (
	testState  = "the-state-of-this-sign-in"
	testIssuer = "https://idp.example"
)

// One row per rule about what comes back (RFC 6749 sections 3.1 and 4.1.2, RFC
// 9207 section 2.4).
func TestJudge(t *testing.T) {
	issued := func(promised bool) expectation {
		return expectation{state: testState, issuer: testIssuer, issRequired: promised}
	}
	const (
		ignored = "ignored"
		code    = "code"
		forged  = "forged"
		refused = "refused"
	)
	for _, row := range []struct {
		rule  string
		e     expectation
		query string
		want  string
	}{
		{"RFC 9207: promised and right", issued(true), "state=S&code=c&iss=I", code},
		{"RFC 9207: promised and absent", issued(true), "state=S&code=c", forged},
		{"RFC 9207: promised and wrong", issued(true), "state=S&code=c&iss=https%3A%2F%2Fevil.example", forged},
		{"RFC 9207: not promised and right", issued(false), "state=S&code=c&iss=I", code},
		{"RFC 9207: not promised and absent", issued(false), "state=S&code=c", code},
		{"RFC 9207: not promised and wrong", issued(false), "state=S&code=c&iss=https%3A%2F%2Fevil.example", forged},
		{"RFC 9207: there and empty", issued(false), "state=S&code=c&iss=", forged},
		{"RFC 9207: never normalized, slash", issued(true), "state=S&code=c&iss=I%2F", forged},
		{"RFC 9207: never normalized, case", issued(true), "state=S&code=c&iss=https%3A%2F%2FIDP.example", forged},
		{"RFC 9207: counts for errors too, wrong", issued(false), "state=S&error=access_denied&iss=https%3A%2F%2Fevil.example", forged},
		{"RFC 9207: counts for errors too, absent", issued(true), "state=S&error=access_denied", forged},

		{"S12: no state", issued(false), "code=c", ignored},
		{"S12: empty state", issued(false), "state=&code=c", ignored},
		{"S12: another state", issued(false), "state=theirs&code=c", ignored},
		{"S12: a part of the state", issued(false), "state=the-state-of&code=c", ignored},
		{"S12: an error of another sign-in", issued(false), "state=theirs&error=access_denied", ignored},
		{"S12: nobody has asked yet", expectation{issuer: testIssuer}, "state=&code=c", ignored},
		{"S37: two codes", issued(false), "state=S&code=c&code=d", ignored},
		{"S37: two states", issued(false), "state=S&state=S&code=c", ignored},
		{"S37: two issuers", issued(true), "state=S&code=c&iss=I&iss=I", ignored},
		{"S37: two of what nobody knows", issued(true), "state=S&code=c&iss=I&x=1&x=2", ignored},
		{"S37: semicolons, which some readers split at", issued(false), "state=S;code=c", ignored},
		{"S37: broken escape", issued(false), "state=S&code=%zz", ignored},

		{"no code and no error", issued(false), "state=S", forged},
		{"an empty code", issued(false), "state=S&code=", forged},
		{"refused", issued(true), "state=S&error=access_denied&error_description=no&iss=I", refused},
		{"refused with a code beside it", issued(false), "state=S&error=access_denied&code=c", refused},
	} {
		t.Run(row.rule, func(t *testing.T) {
			a, mine := row.e.judge(fill(row.query))
			got := code
			var f *Forged
			var r *Refused
			switch {
			case !mine:
				got = ignored
			case errors.As(a.err, &f):
				got = forged
			case errors.As(a.err, &r):
				got = refused
			}
			if got != row.want {
				t.Errorf("%s is %s, want %s", row.query, got, row.want)
			}
			if (got == code) != (a.code.Reveal() == "c") {
				t.Errorf("%s: the code is %q", row.query, a.code.Reveal())
			}
		})
	}
}

func TestRefusalKeepsTheWordsOfTheIdP(t *testing.T) {
	a, _ := expectation{state: testState, issuer: testIssuer}.judge(fill("state=S&error=access_denied&error_description=not+you"))
	var r *Refused
	if !errors.As(a.err, &r) || r.Code != "access_denied" || r.Description != "not you" {
		t.Fatalf("got %#v", a.err)
	}
}

// fill puts state and issuer of this sign-in in place of S and I.
func fill(query string) string {
	q := []byte{}
	for i := range len(query) {
		value := i > 0 && query[i-1] == '='
		switch {
		case value && query[i] == 'S':
			q = append(q, url.QueryEscape(testState)...)
		case value && query[i] == 'I':
			q = append(q, url.QueryEscape(testIssuer)...)
		default:
			q = append(q, query[i])
		}
	}
	return string(q)
}

// FuzzJudge: a code is taken only with the right state and one of each parameter,
// never from another issuer, and nothing that is turned away yields anything.
func FuzzJudge(f *testing.F) {
	for _, q := range []string{"state=S&code=c&iss=I", "state=S&code=c", "state=S&code=c&code=d", "state=x&code=c", "state=S&error=e&iss=I", "state=S;code=c", "%zz"} {
		f.Add(fill(q), true)
		f.Add(fill(q), false)
	}
	f.Fuzz(func(t *testing.T, raw string, promised bool) {
		e := expectation{state: testState, issuer: testIssuer, issRequired: promised}
		a, mine := e.judge(raw)
		if !mine && (a.err != nil || !a.code.IsZero()) {
			t.Fatalf("turned away, and yet %v", a)
		}
		if mine == (a.err == nil && a.code.IsZero()) {
			t.Fatalf("neither a code nor an error, or something of a stranger's: %v", a)
		}
		if a.err != nil && !a.code.IsZero() {
			t.Fatalf("a code beside the error %v", a.err)
		}
		if !mine {
			return
		}
		q, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal("taken although it cannot be read")
		}
		for name, values := range q {
			if len(values) != 1 {
				t.Fatalf("taken although %q stands %d times", name, len(values))
			}
		}
		if q.Get("state") != testState {
			t.Fatalf("taken with the state %q", q.Get("state"))
		}
		if a.code.IsZero() {
			return
		}
		if q.Get("code") != a.code.Reveal() || q.Get("error") != "" {
			t.Fatalf("took the code %q of %q", a.code.Reveal(), raw)
		}
		if iss, ok := q["iss"]; promised && !ok || ok && iss[0] != testIssuer {
			t.Fatalf("taken from the issuer %q", iss)
		}
	})
}
