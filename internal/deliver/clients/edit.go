package clients

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
	"github.com/mcpauth/mcpauth/internal/tomledit"
	"github.com/mcpauth/mcpauth/internal/yamledit"
)

// format is a way to write things down. Its methods change the text only where an
// entry goes in or comes out; what that did to the meaning is checked by file.
type format interface {
	plain(src []byte) (any, error)
	insert(src []byte, at string, name string, entry object) ([]byte, error)
	remove(src []byte, at string, name string) ([]byte, error)
}

type jsonFormat struct{}

// maxBrackets bounds what the recursive parser can be driven to.
const maxBrackets = 1_000_000

func (jsonFormat) plain(src []byte) (any, error) {
	if bytes.Count(src, []byte("["))+bytes.Count(src, []byte("{")) > maxBrackets {
		return nil, errors.New("it has too many objects and lists")
	}
	return jsonedit.Plain(src)
}

func (jsonFormat) insert(src []byte, at string, name string, entry object) ([]byte, error) {
	d := jsonedit.New(src)
	err := d.Set([]string{at, name}, entry)
	return d.Bytes(), err
}

func (jsonFormat) remove(src []byte, at string, name string) ([]byte, error) {
	d := jsonedit.New(src)
	err := d.Remove([]string{at, name})
	return d.Bytes(), err
}

type tomlFormat struct{}

func (tomlFormat) plain(src []byte) (any, error) { return tomledit.Plain(src) }

func (tomlFormat) insert(src []byte, at string, name string, entry object) ([]byte, error) {
	return tomledit.Insert(src, []string{at, name}, entry.fields())
}

func (tomlFormat) remove(src []byte, at string, name string) ([]byte, error) {
	return tomledit.Remove(src, []string{at, name})
}

// yamlFormat has its entries below one key at the top; a list when they carry
// their names themselves.
type yamlFormat struct{}

func (yamlFormat) plain(src []byte) (any, error) { return yamledit.Plain(src) }

func (yamlFormat) insert(src []byte, at string, name string, entry object) ([]byte, error) {
	return yamledit.Insert(src, at, yamledit.Entry{Name: name, Fields: entry.fields()})
}

func (yamlFormat) remove(src []byte, at string, name string) ([]byte, error) {
	return yamledit.Remove(src, at, name)
}

// mark is what some Windows editors begin a text with.
var mark = []byte("\ufeff")

// entries reads what the file of a client has, by name.
func (c Client) entries(src []byte) (map[string]any, error) {
	root, err := c.format.plain(bytes.TrimPrefix(src, mark))
	if err != nil {
		return nil, err
	}
	list, _, err := c.split(root)
	return list, err
}

// split takes the entries out of what a file means, and returns the rest.
func (c Client) split(root any) (list map[string]any, rest any, err error) {
	top, ok := root.(map[string]any)
	if !ok {
		return nil, nil, errors.New("it does not hold an object")
	}
	held := top[c.at]
	delete(top, c.at)
	list = map[string]any{}
	switch x := held.(type) {
	case nil:
	case map[string]any:
		if c.named {
			return nil, nil, fmt.Errorf("%q is not a list", c.at)
		}
		list = x
	case []any:
		if !c.named {
			return nil, nil, fmt.Errorf("%q is not an object", c.at)
		}
		odd := 0 // elements without a name of their own are told apart by number
		for _, e := range x {
			m, _ := e.(map[string]any)
			name, ok := m["name"].(string)
			if _, twice := list[name]; !ok || twice {
				odd++
				name = fmt.Sprint("#", odd, " ", name)
			}
			list[name] = e
		}
	default:
		return nil, nil, fmt.Errorf("%q does not hold entries", c.at)
	}
	return list, top, nil
}

// insert adds an entry, and makes sure that nothing else has another meaning now.
func (c Client) insert(src []byte, name string, entry object) ([]byte, error) {
	return c.change(src, func(text []byte) ([]byte, error) {
		inside := name
		if c.named {
			inside = ""
		}
		return c.format.insert(text, c.at, inside, entry)
	}, func(list map[string]any) { list[name] = entry.plain() })
}

// remove takes an entry out, and makes sure that nothing else has another meaning
// now.
func (c Client) remove(src []byte, name string) ([]byte, error) {
	return c.change(src, func(text []byte) ([]byte, error) {
		return c.format.remove(text, c.at, name)
	}, func(list map[string]any) { delete(list, name) })
}

func (c Client) change(src []byte, text func([]byte) ([]byte, error), meaning func(map[string]any)) ([]byte, error) {
	bare, marked := bytes.CutPrefix(src, mark)
	before, err := c.format.plain(bare)
	if err != nil {
		return nil, err
	}
	list, rest, err := c.split(before)
	if err != nil {
		return nil, err
	}
	meaning(list)
	out, err := text(bare)
	if err != nil {
		return nil, err
	}
	after, err := c.format.plain(out)
	if err != nil {
		return nil, fmt.Errorf("the result could not be read: %w", err)
	}
	gotList, gotRest, err := c.split(after)
	if err != nil || !same(list, gotList) || !reflect.DeepEqual(rest, gotRest) {
		return nil, errors.New("it is written in a way that cannot be edited safely")
	}
	if marked {
		return append(bytes.Clone(mark), out...), nil
	}
	if out == nil {
		out = []byte{} // a file with nothing in it, not none
	}
	return out, nil
}

// same compares entries. Each format has its own numbers, so what was read is
// compared as JSON.
func same(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !equal(x, y) {
			return false
		}
	}
	return true
}
