package wire

import "unicode"

// maxClean is how many runes of a remote text are shown.
const maxClean = 300

// maxMarks is how many accents one letter may carry; more would paint over the
// lines above and below.
const maxMarks = 3

// Clean makes a remote party's text fit for a terminal, a log or a message (S17):
// one line, 300 runes, nothing that moves the cursor, hides or turns text around.
// White space becomes a space, and what is dangerous U+FFFD, so that it shows that
// something was there. Clean(Clean(s)) is Clean(s); printable ASCII stays as it is.
func Clean(s string) string {
	var out []rune
	marks := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case hidden(r):
			r = unicode.ReplacementChar
		}
		if !unicode.IsMark(r) {
			marks = 0
		} else if marks++; marks > maxMarks {
			continue
		}
		if len(out) == maxClean {
			out[maxClean-1] = '…'
			break
		}
		out = append(out, r)
	}
	return string(out)
}

// hidden reports what must not be shown as it is: controls, formats (bidi, zero
// width, tags), surrogates, private use, and letters and marks that are blank.
func hidden(r rune) bool {
	const brailleBlank = '\u2800'
	return !unicode.IsPrint(r) || r == brailleBlank ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
