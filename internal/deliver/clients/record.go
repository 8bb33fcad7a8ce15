package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

const (
	recordsFile = "clients.json"
	maxRecords  = 1 << 20
)

// record remembers what setup added to a file, so that a file that nobody changed
// since gets exactly its old bytes back. It holds positions and hashes, and nothing
// of what is in the file: people keep secrets there.
type record struct {
	Created bool     `json:"created,omitempty"` // there was no file
	Folder  string   `json:"folder,omitempty"`  // the outermost one that was made for it
	Before  string   `json:"before,omitempty"`
	After   string   `json:"after"`
	Added   [][2]int `json:"added,omitempty"` // ranges of the text after
}

// original returns the text of a file before setup, if the file is as setup left
// it. The text is nil when there was no file.
func (r *record) original(text []byte) ([]byte, bool) {
	if r == nil || r.After != hash(text) {
		return nil, false
	}
	if r.Created {
		return nil, true
	}
	before := without(text, r.Added)
	return before, before != nil && hash(before) == r.Before
}

// after is the record once a file has changed from now to then; nil when nothing
// can be undone exactly. pristine says that nothing in the file is from mcpauth.
func (r *record) after(now, then []byte, pristine bool) *record {
	original, ok := r.original(now)
	if now == nil || !ok && pristine {
		original, ok = now, true
	}
	if !ok || then == nil {
		return nil
	}
	if original == nil {
		again := record{Created: true, After: hash(then)}
		if r != nil {
			again.Folder = r.Folder
		}
		return &again
	}
	ranges, ok := added(original, then)
	if !ok || len(ranges) == 0 {
		return nil
	}
	return &record{Before: hash(original), After: hash(then), Added: ranges}
}

type recordFile struct {
	Version int                `json:"version"`
	Files   map[string]*record `json:"files"`
}

// records reads what is known. A file that cannot be used is no harm: then entries
// are taken out one by one.
func (e Editor) records() map[string]*record {
	f := recordFile{}
	b, err := e.State.ReadFile(recordsFile, maxRecords)
	if err != nil || json.Unmarshal(b, &f) != nil || f.Version != 1 || f.Files == nil {
		return map[string]*record{}
	}
	return f.Files
}

func (e Editor) keep(records map[string]*record) error {
	if len(records) == 0 {
		if err := e.State.Remove(recordsFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the record of the clients' files: %w", err)
		}
		return nil
	}
	b, err := json.MarshalIndent(recordFile{1, records}, "", "  ")
	if err != nil {
		return err
	}
	return e.State.WriteFile(recordsFile, append(b, '\n'))
}

// added finds what was added to a text, as ranges of the new one. It fails when
// something was also taken away.
func added(before, after []byte) (ranges [][2]int, ok bool) {
	prefix := 0
	for prefix < len(before) && prefix < len(after) && before[prefix] == after[prefix] {
		prefix++
	}
	suffix := 0
	for suffix < len(before)-prefix && suffix < len(after)-prefix && before[len(before)-1-suffix] == after[len(after)-1-suffix] {
		suffix++
	}
	i, start := prefix, -1
	for j := prefix; j < len(after)-suffix; j++ {
		if i < len(before)-suffix && before[i] == after[j] {
			if start >= 0 {
				ranges = append(ranges, [2]int{start, j})
				start = -1
			}
			i++
		} else if start < 0 {
			start = j
		}
	}
	if start >= 0 {
		ranges = append(ranges, [2]int{start, len(after) - suffix})
	}
	return ranges, i == len(before)-suffix
}

// without cuts the ranges out of a text.
func without(text []byte, ranges [][2]int) []byte {
	out, last := []byte{}, 0
	for _, r := range ranges {
		if r[0] < last || r[1] < r[0] || r[1] > len(text) {
			return nil
		}
		out, last = append(out, text[last:r[0]]...), r[1]
	}
	return append(out, text[last:]...)
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
