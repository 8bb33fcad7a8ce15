package token

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/ownjson"
)

// What was sealed is read whole, by the short way.
func TestUnsealKnowsEveryMember(t *testing.T) {
	var want sealed
	k := reflect.ValueOf(&want.Key).Elem()
	for i := range k.NumField() {
		k.Field(i).SetString("<" + k.Type().Field(i).Name + "> \"&\"")
	}
	want.AccessToken, want.Type, want.Scopes = "t", "Bearer", []string{"a", "b"}
	want.Obtained, want.Expires = time.Unix(1, 2).UTC(), time.Unix(3, 4).UTC()
	plain, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tested", v.Type().Field(i).Name)
		}
	}
	got, err := unseal(plain)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	r := ownjson.New(plain[len(`{"key":`):])
	if k := readKey(r); k != want.Key {
		t.Errorf("readKey = %+v", k)
	}
	if got, err = unseal([]byte(`{"accessToken":"t","scopes":null}`)); err != nil || got.AccessToken != "t" {
		t.Errorf("the long way: %v %v", got, err)
	}
	if _, err = unseal([]byte("{")); err == nil {
		t.Error("half an entry is read")
	}
}
