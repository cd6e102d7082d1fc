package jsontest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

const ourModule = "github.com/rads-project/constellation"

// Example returns a value of a type whose values are not all valid, or says that any
// will do.
type Example func(reflect.Type) (any, bool)

// Answers returns the structs of this module that the methods of types return, each
// once, and the structs that are given themselves.
func Answers(on []reflect.Type, given ...reflect.Type) []reflect.Type {
	seen := make(map[reflect.Type]bool)
	var found []reflect.Type
	add := func(t reflect.Type) {
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), ourModule) && !seen[t] {
			seen[t] = true
			found = append(found, t)
		}
	}
	for _, t := range on {
		for m := range t.Methods() {
			for result := range m.Type.Outs() {
				add(result)
			}
		}
	}
	for _, t := range given {
		add(t)
	}
	return found
}

// RequireReadsBack asserts that the zero value of a type and one with every field set
// read back from JSON with lower-case names to the same value, in which diff finds no
// difference: errors are the same if their texts are.
func RequireReadsBack(t *testing.T, answer reflect.Type, example Example, diff func(want, got any) string) {
	t.Helper()
	for _, full := range []bool{false, true} {
		want, got := reflect.New(answer), reflect.New(answer)
		if value, ok := example(answer); ok {
			want.Elem().Set(reflect.ValueOf(value))
		} else if full {
			fill(t, want.Elem(), answer.String(), example)
		}
		text := Text(t, want.Interface())
		requireLowerCase(t, text)
		if err := json.Unmarshal([]byte(text), got.Interface()); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again := Text(t, got.Interface()); again != text {
			t.Fatalf("%s\nreads back as\n%s", text, again)
		}
		if found := diff(want.Interface(), got.Interface()); found != "" {
			t.Fatalf("%s\n%s", text, found)
		}
	}
}

// requireLowerCase looks at the keys of all objects.
func requireLowerCase(t *testing.T, text string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	var look func(any)
	look = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, below := range value {
				if unicode.IsUpper(rune(key[0])) {
					t.Errorf("key %q of %s", key, text)
				}
				look(below)
			}
		case []any:
			for _, below := range value {
				look(below)
			}
		}
	}
	look(value)
}

// fill gives every exported field a value that is not zero.
func fill(t *testing.T, v reflect.Value, path string, example Example) {
	t.Helper()
	if value, ok := example(v.Type()); ok {
		v.Set(reflect.ValueOf(value))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Tag.Get("json") != "-" {
				fill(t, v.Field(i), path+"."+v.Type().Field(i).Name, example)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path, example)
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), path, example)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), path, example)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, path, example)
		fill(t, value, path, example)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	default:
		t.Fatalf("%s is %s, which the test cannot fill", path, v.Type())
	}
}

// Text returns a value as JSON.
func Text(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
