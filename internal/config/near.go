package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknownKey says what is wrong with a key that file.go does not have.
func unknownKey(name string, in reflect.Type) string {
	switch plain := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)); {
	case slices.Contains([]string{"clientsecret", "secret", "password", "passphrase", "token", "accesstoken",
		"refreshtoken", "idtoken", "bearertoken", "apikey", "privatekey", "headers", "authorization"}, plain):
		return fmt.Sprintf("key %q: secrets do not belong in this file; a client secret goes in by mcpauth login --client-secret-stdin, or stays in a file or program that \"secretFile\" or \"secretCommand\" names", name)
	case in == reflect.TypeFor[Server]() && slices.Contains([]string{"command", "args", "env", "cwd"}, plain):
		return fmt.Sprintf("key %q belongs to a local server, which needs no token from mcpauth", name)
	}
	var known []string
	for i := range in.NumField() {
		if key, _ := spelling(in.Field(i).Tag); key != "" {
			known = append(known, key)
		}
	}
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("unknown key %q, did you mean %q?", name, near)
	}
	return fmt.Sprintf("unknown key %q", name)
}

// nearest returns the known word that name was probably meant to be, or "".
func nearest(name string, known []string) string {
	best, limit := "", 1+len(name)/3
	for _, k := range known {
		if n := distance(strings.ToLower(name), strings.ToLower(k)); n < limit || n == limit && best == "" {
			best, limit = k, n
		}
	}
	return best
}

// distance is Levenshtein's, over bytes; a name of any length beyond what keys
// have is simply far away.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
