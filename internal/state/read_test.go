package state

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fill gives every field a value, so that one which fast does not know is missed.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(*n), int64(*n)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, name := range []string{"https://a.example/?x&y", "b"} {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e, n)
			v.SetMapIndex(reflect.ValueOf(name), e)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.String:
		v.SetString(fmt.Sprintf("<text %d>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(*n))
	default:
		panic(v.Kind())
	}
}

// The two readers agree about every member there is.
func TestFastKnowsEveryMember(t *testing.T) {
	var full File
	n := 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	full.Version = Version
	for _, f := range []File{full, {Version: Version}} {
		b, err := encode(f)
		if err != nil {
			t.Fatal(err)
		}
		var want File
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		got, ok := fast(b, every)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("fast: %v %s", ok, diff)
		}
		got, ok = fast(b, func(url string) bool { return url == "b" })
		for name := range want.Servers {
			if name != "b" {
				delete(want.Servers, name)
			}
		}
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("fast with one server: %v %s", ok, diff)
		}
	}
}

// What is done to a clone is not done to the File that others have.
func TestCloneSharesNothing(t *testing.T) {
	var f File
	n := 0
	fill(reflect.ValueOf(&f).Elem(), &n)
	c := f.clone()
	if diff := cmp.Diff(f, c); diff != "" {
		t.Fatal(diff)
	}
	places := map[uintptr]string{}
	walk(reflect.ValueOf(f), "File", func(at uintptr, name string) { places[at] = name })
	shared := 0
	walk(reflect.ValueOf(c), "File", func(at uintptr, name string) {
		if places[at] != "" {
			t.Errorf("%s is shared", name)
		}
		shared++
	})
	if shared < 10 {
		t.Errorf("only %d places were looked at", shared)
	}
}

// walk calls visit with everything that can be changed from a copy of v.
func walk(v reflect.Value, name string, visit func(at uintptr, name string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if _, ok := v.Field(i).Interface().(time.Time); !ok {
				walk(v.Field(i), name+"."+v.Type().Field(i).Name, visit)
			}
		}
	case reflect.Pointer:
		visit(v.Pointer(), name)
		walk(v.Elem(), name, visit)
	case reflect.Slice:
		visit(v.Pointer(), name)
	case reflect.Map:
		visit(v.Pointer(), name)
		for _, k := range v.MapKeys() {
			walk(v.MapIndex(k), name+"[]", visit)
		}
	}
}
