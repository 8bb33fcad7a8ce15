package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"

	"github.com/mcpauth/mcpauth/internal/ownjson"
)

// LoadOne is Load for one answer about one server, given by its name. A file is
// right or wrong as a whole, and to judge a file of fifty servers takes longer than
// all the rest of such an answer: right tells whether Load has taken a file with
// this Digest before. Then the other servers are not looked at, and the Config does
// not have them.
func LoadOne(paths Paths, flags Overrides, getenv func(string) string, server string, right func(path, digest string) bool) (*Config, error) {
	return loadWith(paths, flags, getenv, func(path, digest string, src []byte) (layer, error) {
		if right(path, digest) {
			if part, ok := without(src, server); ok {
				if l, err := rightLayer(path, part); err == nil {
					return l, nil
				}
			}
		}
		return fileLayer(path, src)
	})
}

// without returns the text of a right file without all servers but one. A file
// with comments is not for the simple reader that is used here.
func without(src []byte, server string) (part []byte, ok bool) {
	r := ownjson.New(src)
	part = append(make([]byte, 0, len(src)), '{')
	comma := func() {
		if last := part[len(part)-1]; last != '{' {
			part = append(part, ',')
		}
	}
	r.Object(func(name string) {
		comma()
		part = append(append(part, strconv.Quote(name)...), ':')
		if name != "mcpServers" {
			part = append(part, r.Raw()...)
			return
		}
		part = append(part, '{')
		r.Object(func(name string) {
			if raw := r.Raw(); name == server {
				part = append(append(append(part, strconv.Quote(name)...), ':'), raw...)
			}
		})
		part = append(part, '}')
	})
	return append(part, '}'), r.OK()
}

// digest names the content of a file and the program that reads it: the next
// version may have other rules.
func digest(src []byte) string {
	h := sha256.New()
	if path, err := os.Executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			h.Write([]byte(path + " " + strconv.FormatInt(info.Size(), 10) + " " + strconv.FormatInt(info.ModTime().UnixNano(), 10) + "\n"))
		}
	}
	h.Write(src)
	return hex.EncodeToString(h.Sum(nil))
}
