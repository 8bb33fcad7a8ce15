package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// screen draws the story. Without color it is plain text that reads the same.
type screen struct {
	w     io.Writer
	color bool
}

// Colors of the terminal, so that light and dark themes both look right.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	blue  = "36"
)

// Text has a margin of five, in which the marks hang; nothing is wider than a
// usual terminal.
const (
	margin   = "     "
	width    = 78 // of what the story says
	terminal = 80 // of what programs print
)

func (s *screen) paint(style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *screen) line(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

func (s *screen) blank() { fmt.Fprintln(s.w) }

func (s *screen) title(name, subtitle string) {
	s.blank()
	s.line("  %s  %s", s.paint(bold, name), s.paint(dim, subtitle))
	s.line("  %s", s.paint(dim, strings.Repeat("─", width-2)))
	s.blank()
}

func (s *screen) chapter(number int, title string) {
	s.blank()
	s.line("  %s  %s", s.paint(blue+";"+bold, fmt.Sprint(number)), s.paint(bold, title))
	s.blank()
}

// prose is wrapped text beside the chapter's number.
func (s *screen) prose(text string) {
	for _, l := range wrap(text, width, "") {
		s.line("%s", l)
	}
}

// wrap breaks a text at spaces. The lines after the first are indented by hang.
func wrap(text string, width int, hang string) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = margin + word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = margin + hang + word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// command is what is typed. A long one is broken before a flag.
func (s *screen) command(text string) {
	var lines []string
	for i, part := range strings.Split(text, " --") {
		switch last := len(lines) - 1; {
		case i == 0:
			lines = append(lines, part)
		case utf8.RuneCountInString(lines[last]+" --"+part) > width-10:
			lines[last] += " \\"
			lines = append(lines, "    --"+part)
		default:
			lines[last] += " --" + part
		}
	}
	s.blank()
	for i, l := range lines {
		mark := s.paint(dim, "$")
		if i > 0 {
			mark = " "
		}
		s.line("   %s %s", mark, s.paint(bold, l))
	}
}

// verbatim is text to copy, which must not be wrapped.
func (s *screen) verbatim(text string) {
	for _, l := range strings.Split(text, "\n") {
		s.line("%s%s", margin, l)
	}
}

// output is what a command printed. Only lines that are too long are changed.
func (s *screen) output(text string) {
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case utf8.RuneCountInString(margin+l) > terminal:
			for _, part := range wrap(l, terminal, "  ") {
				s.line("%s", part)
			}
		case l != "":
			s.line("%s%s", margin, l)
		}
	}
}

// table is output without the column of scopes, for which there is no room.
func (s *screen) table(text string) {
	lines := strings.Split(text, "\n")
	from, to := 0, 0
	for i, l := range lines {
		if before, _, ok := strings.Cut(l, "SCOPES"); ok {
			from = utf8.RuneCountInString(before)
			to = utf8.RuneCountInString(l[:strings.Index(l, "LAST ERROR")])
		}
		if runes := []rune(l); to > 0 && len(runes) >= to {
			lines[i] = string(runes[:from]) + string(runes[to:])
		}
	}
	s.output(strings.Join(lines, "\n"))
}

func (s *screen) good(text string) { s.mark(green, "✓", text) }
func (s *screen) bad(text string)  { s.mark(red, "✗", text) }

func (s *screen) mark(style, sign, text string) {
	s.line("   %s %s", s.paint(style, sign), strings.TrimLeft(strings.Join(wrap(text, terminal, ""), "\n"), " "))
}

// saw is what another party noticed, in the margin of the story.
func (s *screen) saw(party, what string, allowed bool) {
	mark := s.paint(green, "allowed")
	if !allowed {
		mark = s.paint(red, "refused")
	}
	s.line(margin+"%s %-17s  %s %s", s.paint(dim, "│"), party, pad(what, 44), mark)
}

func pad(text string, n int) string {
	if missing := n - utf8.RuneCountInString(text); missing > 0 {
		return text + strings.Repeat(" ", missing)
	}
	return text
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
