package wire

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	long := strings.Repeat("é", 400)
	for in, want := range map[string]string{
		"":                                       "",
		"access denied by policy":                "access denied by policy",
		" a  b ":                                 " a  b ",
		"Zugriff verweigert: für Müller":         "Zugriff verweigert: für Müller",
		"アクセス拒否 🙂":                               "アクセス拒否 🙂",
		"one\ntwo\r\nthree\tfour":                "one two  three four",
		"a\u2028b\u2029c\u0085d\u00a0e":          "a b c d e",
		"\x1b[31mred\x1b]0;title\x07":            "�[31mred�]0;title�",
		"\u009b31m":                              "�31m",
		"bell\x07null\x00del\x7f":                "bell�null�del�",
		"safe\u202egnp.exe":                      "safe�gnp.exe",
		"\u2066a\u2069\u200e\u061c":              "�a���",
		"ze\u200bro\u200d\u2060\ufeff":           "ze�ro���",
		"tag\U000e0041\U000e007f":                "tag��",
		"soft\u00adhyphen\u034f":                 "soft�hyphen�",
		"v\ufe0f\U000e0100":                      "v��",
		"\u3164\u115f\uffa0\u2800":               "����",
		"\ue000\U0010ffff\ufffe":                 "���",
		"bad\xff\xfeutf8":                        "bad��utf8",
		"e\u0301\u0301\u0301\u0301\u0301\u0301x": "e\u0301\u0301\u0301x",
		strings.Repeat("x", 300):                 strings.Repeat("x", 300),
		long:                                     strings.Repeat("é", 299) + "…",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[2J", "\u202e", "a\n", "\xff", strings.Repeat("e\u0301", 400), "🙂\u200d🙂", "\U000e0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Clean(s)
		if !utf8.ValidString(out) || utf8.RuneCountInString(out) > maxClean {
			t.Fatalf("%q: not valid or too long", out)
		}
		for _, r := range out {
			if r != ' ' && unicode.IsSpace(r) || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Variation_Selector) {
				t.Fatalf("%q holds %U", out, r)
			}
		}
		if again := Clean(out); again != out {
			t.Fatalf("%q becomes %q", out, again)
		}
		printable := func(r rune) bool { return r >= ' ' && r <= '~' }
		if len(s) <= maxClean && strings.IndexFunc(s, func(r rune) bool { return !printable(r) }) < 0 && out != s {
			t.Fatalf("plain %q becomes %q", s, out)
		}
	})
}
