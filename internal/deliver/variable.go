package deliver

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Variable is an environment variable that holds a token.
type Variable struct {
	Name  string
	Value secret.Text
}

// NewVariable puts a token into a variable.
func NewVariable(name string, t token.Token) (Variable, error) {
	clear, err := reveal(t)
	return Variable{name, secret.New(clear)}, err
}

// defaultName is that of the only variable, and the front of several.
const defaultName = "MCPAUTH_ACCESS_TOKEN"

// Names gives each server its variable: the one that chosen says, in the form NAME
// for the only server or SERVER=NAME, else a default.
func Names(servers, chosen []string) ([]string, error) {
	names := make([]string, len(servers))
	for _, c := range chosen {
		server, name, ok := strings.Cut(c, "=")
		switch {
		case !ok && len(servers) > 1:
			return nil, fmt.Errorf("--env %s: for several servers say which one: --env SERVER=NAME", c)
		case !ok:
			server, name = servers[0], c
		}
		i := slices.Index(servers, server)
		switch {
		case i < 0:
			return nil, fmt.Errorf("--env %s: %q is not the name of one of the servers", c, server)
		case !validName(name):
			return nil, fmt.Errorf("--env %s: %q is not the name of a variable", c, name)
		case names[i] != "":
			return nil, fmt.Errorf("--env %s: the server has a variable already", c)
		}
		names[i] = name
	}
	for i, s := range servers {
		if names[i] == "" {
			names[i] = defaultName
			if len(servers) > 1 {
				names[i] += "_" + variableCase(s)
			}
		}
		for j := range i {
			if SameName(names[i], names[j]) {
				return nil, fmt.Errorf("%s and %s would share the variable %s; choose names with --env SERVER=NAME", servers[j], s, names[i])
			}
		}
	}
	return names, nil
}

// SameName compares as the system does.
func SameName(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}

// validName holds for what every shell can assign to.
func validName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func variableCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, s)
}

var errDotenv = errors.New("the token holds a character that programs read differently from a .env file; use another format")
