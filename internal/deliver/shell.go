package deliver

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Shells are the forms of the env command, by the name of --format.
var Shells = map[string]func(io.Writer, []Variable) error{
	"sh":     assign(func(name, value string) (string, error) { return "export " + name + "=" + quoteSh(value), nil }),
	"fish":   assign(func(name, value string) (string, error) { return "set -gx " + name + " " + quoteFish(value), nil }),
	"pwsh":   assign(func(name, value string) (string, error) { return "$env:" + name + " = " + quotePwsh(value), nil }),
	"dotenv": assign(dotenv),
	"json":   envJSON,
}

// assign writes a line for each variable, or nothing at all.
func assign(line func(name, value string) (string, error)) func(io.Writer, []Variable) error {
	return func(w io.Writer, vars []Variable) error {
		var b strings.Builder
		for _, v := range vars {
			s, err := line(v.Name, v.Value.Reveal())
			if err != nil {
				return err
			}
			fmt.Fprintln(&b, s)
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}

// quoteSh is for POSIX shells: nothing is special between single quotes, and a
// single quote cannot stand there.
func quoteSh(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quoteFish is for fish, where \\ and \' mean themselves between single quotes.
func quoteFish(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// quotePwsh is for PowerShell, which doubles a single quote, and takes the curly
// ones of a word processor for it as well.
func quotePwsh(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

// dotenv writes no quotes, which docker --env-file would take for a part of the
// value, and so only what means itself to every reader of such files.
func dotenv(name, value string) (string, error) {
	for _, r := range value {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r) {
			return "", errDotenv
		}
	}
	return name + "=" + value, nil
}

func envJSON(w io.Writer, vars []Variable) error {
	all := map[string]string{}
	for _, v := range vars {
		all[v.Name] = v.Value.Reveal()
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(all)
}
