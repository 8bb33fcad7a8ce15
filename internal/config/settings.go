package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting is one value and where it came from.
type Setting struct {
	Key    string // "mcpServers.wiki.url"
	Value  string
	Source string // "path:line:column", a flag, a variable, or "default"
}

// Settings lists every value that counts, defaults included, in the order of
// file.go.
func (c *Config) Settings() []Setting {
	list := []Setting{{"config", c.Path, c.at["config"]}, {"state", c.state, c.at["state"]}}
	if c.selected != "" {
		list = append(list, Setting{"idp", c.selected, c.at["idp"]})
	}
	_ = visit("", reflect.ValueOf(&c.file).Elem(), func(key string, v reflect.Value, tag reflect.StructTag) error {
		value, set := shown(v, tag)
		if set {
			list = append(list, Setting{key, value, or(c.at[key], "default")})
		} else if standard, ok := tag.Lookup("default"); ok {
			list = append(list, Setting{key, standard, "default"})
		}
		return nil
	})
	return list
}

// shown prints a scalar or a list; set is false for absent values and for
// objects. Of a command only the program is shown: people put secrets into
// arguments.
func shown(v reflect.Value, tag reflect.StructTag) (value string, set bool) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Slice && v.Len() > 0 && tag.Get("check") == "argv":
		return v.Index(0).String(), true
	case v.Kind() == reflect.Slice && v.Len() > 0:
		return strings.Join(v.Interface().([]string), " "), true
	case v.Kind() == reflect.Bool, v.Kind() == reflect.Int && v.Int() != 0, v.Kind() == reflect.String && v.Len() > 0:
		return fmt.Sprint(v.Interface()), true
	}
	return "", false
}
