package placement

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeJSON reads the body of a call, such as a Request, a Node, a quota.Spec, a
// reservation.Spec or a struct of the host's own that has them, into what into points
// to. It is stricter than encoding/json: names are exact and stand once, and one that
// is not known is a mistake. A time.Duration may be text, such as "90s", beside a
// number of nanoseconds. It then calls Validate where a value has that.
//
// Every mistake is reported at once as an InvalidError with its full path, up to 64,
// joined with errors.Join. An error changes nothing; without one all of the value is
// replaced. It takes time in proportion to the body, times how deep the type is.
func DecodeJSON(body []byte, into any) error {
	to := reflect.ValueOf(into)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return &json.InvalidUnmarshalError{Type: reflect.TypeOf(into)}
	}
	var d bodyDecoder
	read := reflect.New(to.Type().Elem())
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(body, new(json.RawMessage)); {
	case !utf8.Valid(body):
		return invalid("", "", "not UTF-8")
	case errors.As(err, &syntax):
		return invalid("", "", fmt.Sprintf("no JSON: %v, at byte %d", err, syntax.Offset))
	case err != nil:
		return invalid("", "", "no JSON: "+err.Error())
	}
	d.value("", bytes.TrimSpace(body), read.Elem(), false)
	if err := d.found.join(); err != nil {
		return err
	}
	to.Elem().Set(read.Elem())
	return nil
}

// bodyDecoder collects the mistakes of one body.
type bodyDecoder struct {
	found  mistakes
	unread []string // paths of values that could not be read
}

// bad notes that a value could not be read.
func (d *bodyDecoder) bad(path string, raw []byte, reason string) {
	text := string(raw)
	if raw[0] == '"' {
		_ = json.Unmarshal(raw, &text) // it is valid
	}
	shown, rest := cutLong(text)
	d.unreadable(path, invalid(path, shown+rest, reason))
}

func (d *bodyDecoder) unreadable(path string, err error) {
	d.found.addPart(err)
	d.unread = append(d.unread, path)
}

// value reads raw, which is valid JSON without space around it, into v. checked says
// that something that v is part of will be validated.
func (d *bodyDecoder) value(path string, raw []byte, v reflect.Value, checked bool) {
	if string(raw) == "null" && v.Kind() != reflect.Struct {
		return
	}
	switch v.Addr().Interface().(type) {
	case *time.Duration:
		d.duration(path, raw, v)
		return
	case *time.Time:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			d.bad(path, raw, "want a time such as 2026-01-02T15:04:05Z")
		}
		return
	case json.Unmarshaler, encoding.TextUnmarshaler:
		d.itself(path, raw, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(path, raw, v, checked)
	case reflect.Map:
		d.dictionary(path, raw, v, checked)
	case reflect.Slice, reflect.Array:
		d.list(path, raw, v, checked)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, raw, v.Elem(), checked)
	default:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			d.bad(path, raw, wanted(v))
		}
	}
}

// itself lets a value read itself. What an object says of its parts has their paths.
func (d *bodyDecoder) itself(path string, raw []byte, v reflect.Value) {
	err := json.Unmarshal(raw, v.Addr().Interface())
	var known *InvalidError
	switch isObject := raw[0] == '{'; {
	case err == nil:
	case isObject && errors.Is(err, ErrInvalid):
		d.unreadable(path, Within(path, err))
	case errors.As(err, &known):
		d.bad(path, raw, known.Reason)
	default:
		d.bad(path, raw, wanted(v))
	}
}

func (d *bodyDecoder) duration(path string, raw []byte, v reflect.Value) {
	var (
		text  string
		nanos int64
	)
	if json.Unmarshal(raw, &text) == nil {
		if read, err := time.ParseDuration(text); err == nil {
			v.SetInt(int64(read))
			return
		}
	} else if json.Unmarshal(raw, &nanos) == nil {
		v.SetInt(nanos)
		return
	}
	d.bad(path, raw, `want a duration such as "1h30m", or nanoseconds`)
}

// object reads the fields of a struct, and validates it unless what it is part of is.
func (d *bodyDecoder) object(path string, raw []byte, v reflect.Value, checked bool) {
	validator, validates := reflect.TypeAssert[interface{ Validate() error }](v.Addr())
	fields := make(map[string]reflect.Value)
	names := fieldsOf(v, fields, nil)
	read := d.members(path, raw, func(name string, value []byte) {
		if field, ok := fields[name]; ok {
			d.value(below(path, name), value, field, checked || validates)
		} else {
			d.found.add(below(path, name), "", "no such field"+meant(name, names))
		}
	})
	if read && validates && !checked {
		d.validated(path, validator.Validate())
	}
}

// fieldsOf finds the fields of a struct by their names in JSON, and returns the names
// in order.
func fieldsOf(v reflect.Value, fields map[string]reflect.Value, names []string) []string {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "" && field.Anonymous && field.Type.Kind() == reflect.Struct:
			names = fieldsOf(v.Field(i), fields, names)
			continue
		case name == "-" || !field.IsExported():
			continue
		case name == "":
			name = field.Name
		}
		if _, taken := fields[name]; !taken {
			fields[name], names = v.Field(i), append(names, name)
		}
	}
	return names
}

func (d *bodyDecoder) dictionary(path string, raw []byte, v reflect.Value, checked bool) {
	all := reflect.MakeMap(v.Type())
	d.members(path, raw, func(name string, value []byte) {
		at := keyed(path, name)
		if v.Type().Key() == reflect.TypeFor[ResourceName]() {
			at = below(path, name)
		}
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if key.Kind() != reflect.String {
			d.bad(at, []byte(name), "a key that cannot be read")
			return
		}
		key.SetString(name)
		d.value(at, value, element, checked)
		all.SetMapIndex(key, element)
	})
	v.Set(all)
}

// members calls each for the members of an object, in their order, and reports whether
// it is one.
func (d *bodyDecoder) members(path string, raw []byte, each func(name string, value []byte)) bool {
	if string(raw) == "null" {
		return true
	}
	if raw[0] != '{' {
		d.bad(path, raw, "want an object")
		return false
	}
	seen := make(map[string]bool)
	reader := json.NewDecoder(bytes.NewReader(raw))
	for _, err := reader.Token(); err == nil && reader.More(); {
		var (
			key   json.Token
			value json.RawMessage
		)
		if key, err = reader.Token(); err == nil {
			err = reader.Decode(&value)
		}
		name, _ := key.(string)
		if seen[name] {
			d.found.add(below(path, name), "", "given twice")
			continue
		}
		seen[name] = true
		each(name, value)
	}
	return true
}

func (d *bodyDecoder) list(path string, raw []byte, v reflect.Value, checked bool) {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		d.bad(path, raw, "want a list")
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	}
	for i, element := range elements {
		if i >= v.Len() {
			d.bad(path, raw, "want at most "+strconv.Itoa(v.Len())+" elements")
			return
		}
		d.value(indexed(path, i), element, v.Index(i), checked)
	}
}

// validated adds what a validation has found, but for what follows from a value that
// could not be read and is therefore zero.
func (d *bodyDecoder) validated(path string, err error) {
	for _, found := range flatten(err) {
		var wrong *InvalidError
		if !errors.As(found, &wrong) || !d.follows(below(path, wrong.Field)) {
			d.found.addPart(Within(path, found))
		}
	}
}

// follows reports whether a path is that of a value that could not be read, or below.
func (d *bodyDecoder) follows(path string) bool {
	for _, unread := range d.unread {
		rest, found := strings.CutPrefix(path, unread)
		if found && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// flatten returns the errors that are joined in one.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, flatten(part)...)
	}
	return all
}

// wanted says what a value is written as.
func wanted(v reflect.Value) string {
	if _, isText := reflect.TypeAssert[encoding.TextMarshaler](v); isText {
		return "want text"
	}
	switch v.Kind() {
	case reflect.String:
		return "want text"
	case reflect.Bool:
		return "want true or false"
	case reflect.Struct:
		return "want an object"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		most := int64(math.MaxInt64) >> (64 - v.Type().Bits())
		return fmt.Sprintf("want an integer from %d to %d", -most-1, most)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("want an integer from 0 to %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	default:
		return "cannot be read as " + v.Type().String()
	}
}
