package scheduler

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
)

// message is a type in records.
type message struct {
	name  string
	of    reflect.Type
	write func(v any) []byte
	read  func(data []byte, v any) error
}

func described[T any](name string, fields func(*codec.Coder, *T)) message {
	return message{
		name, reflect.TypeFor[T](),
		func(v any) []byte { return codec.Write(new(codec.Coder), nil, v.(*T), fields) },
		func(data []byte, v any) error { return codec.Read(new(codec.Coder), data, v.(*T), fields) },
	}
}

// typed is described for a type that has its fields as a method, whose name in
// records is that of the type.
func typed[T any, P interface {
	*T
	fields(*codec.Coder)
}]() message {
	name := reflect.TypeFor[T]().Name()
	name = strings.ToUpper(name[:1]) + name[1:]
	return described(name, func(c *codec.Coder, v *T) { P(v).fields(c) })
}

// messages returns every message in records.
func messages() []message {
	return []message{
		described("Entry", entryFields),
		typed[NodeAdded](), typed[NodeUpdated](), typed[NodeMarked](), typed[NodeRemoved](), typed[NodeAdopted](),
		typed[Placed](), typed[Released](), typed[Resized](),
		typed[QuotaCreated](), typed[QuotaUpdated](), typed[QuotaDeleted](),
		typed[PlanChanged](), typed[WorkloadChanged](), typed[LeavingChanged](), typed[GenerationKept](), typed[Amended](), typed[Attached](),
		described("DerivedEvent", derivedFields),
		typed[InstanceMarked](), typed[EvictionDue](), typed[Overstayed](), typed[QuotaOver](), typed[BurstExpired](),
		typed[ReservationEvent](),
		described("Report", reportFields), described("WorkloadClass", workloadFields),

		described("Part", partFields),
		typed[headItem](), typed[releasedItem](), typed[nodeItem](), typed[classItem](), typed[instanceItem](),
		typed[quotaItem](), typed[unsettledItem](),

		described("placement.Node", nodeFields), described("placement.Port", portFields), described("placement.PortRange", portRangeFields), described("placement.Devices", devicesFields),
		described("placement.Resources", resourcesFields), described("placement.Ratio", ratioFields),
		described("placement.Taint", taintFields), described("placement.Request", requestFields),
		described("placement.Preferences", preferencesFields), described("placement.Preference", preferenceFields),
		described("placement.ScaledLabel", scaledFields),
		described("placement.Toleration", tolerationFields), described("placement.AffinityTerm", affinityFields),
		described("placement.SpreadRule", spreadFields),

		described("quota.Spec", quotaFields), described("quota.Limit", limitFields), described("quota.Reservations", reservationBoundsFields),
		described("quota.Usage", usageFields), described("reservation.Event", reservationEventFields),
		described("quota.AccountState", accountFields), described("placement.Amounts", amountsFields),

		described("reservation.Reservation", reservationFields), described("reservation.Spec", reservationSpecFields),
		described("reservation.Repeat", repeatFields), described("reservation.Params", paramsFields), described("reservation.Slot", slotFields),
		described("reservation.Claim", claimFields),
		described("reservation.Stay", stayFields), described("reservation.Window", windowFields),
		described("reservation.PastReservation", pastFields), described("reservation.PlanChange", planChangeFields),
	}
}

// filled returns a value of a type in which nothing is zero.
func filled(of reflect.Type) reflect.Value {
	v := reflect.New(of).Elem()
	switch of {
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	case reflect.TypeFor[placement.Constraint]():
		return reflect.ValueOf(placement.Equal("zone", "a"))
	case reflect.TypeFor[decided]():
		return reflect.ValueOf(&Released{ID: "a"})
	}
	switch of.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v = reflect.Append(v, filled(of.Elem()))
	case reflect.Map:
		v.Set(reflect.MakeMap(of))
		v.SetMapIndex(filled(of.Key()), filled(of.Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(of.Elem()))
		v.Elem().Set(filled(of.Elem()))
	case reflect.Struct:
		for field := range of.Fields() {
			if field.IsExported() {
				v.FieldByIndex(field.Index).Set(filled(field.Type))
			}
		}
	default:
		panic(of.String())
	}
	return v
}

// numbers returns the numbers of the fields in a message, each once.
func numbers(t *testing.T, data []byte) []int {
	t.Helper()
	var seen []int
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		value, m := binary.Uvarint(data[n:])
		require.True(t, n > 0 && m > 0)
		if data = data[n+m:]; tag&7 == 2 {
			data = data[value:]
		}
		seen = append(seen, int(tag>>3))
	}
	return slices.Compact(seen)
}

// fieldsOf returns the exported fields of a message by their numbers.
func (m message) fieldsOf(t *testing.T) map[int]reflect.StructField {
	t.Helper()
	fields := make(map[int]reflect.StructField)
	for field := range m.of.Fields() {
		if !field.IsExported() {
			continue
		}
		v := reflect.New(m.of)
		v.Elem().FieldByIndex(field.Index).Set(filled(field.Type))
		got := numbers(t, m.write(v.Interface()))
		require.Len(t, got, 1, "%s.%s is not in a record: add it to the fields of %s", m.of, field.Name, m.name)
		if m.of == reflect.TypeFor[Placed]() && got[0] == 1 {
			continue // see placedRequest
		}
		require.NotContains(t, fields, got[0], "%s.%s has the number of another field", m.of, field.Name)
		fields[got[0]] = field
	}
	return fields
}

// unexportedFields has the fields of what only this package knows.
func unexportedFields(t *testing.T) map[string]map[int]string {
	t.Helper()
	rows := make(map[string]map[int]string)
	add := func(m message, name, form string, v any) {
		if rows[m.name] == nil {
			rows[m.name] = make(map[int]string)
		}
		got := numbers(t, m.write(v))
		require.Len(t, got, 1)
		rows[m.name][got[0]] = name + " | " + form
	}
	e, p := described("Entry", entryFields), described("Part", partFields)
	d := described("DerivedEvent", derivedFields)
	add(e, "Seq", "number", &entry{seq: 1})
	add(e, "Time", "time", &entry{time: time.Unix(1, 0)})
	add(e, "Token", "number", &entry{token: 1})
	add(e, "Changes", "list of Change", &entry{changes: []decided{new(Placed)}})
	add(e, "Derived", "list of DerivedEvent", &entry{derived: []derivedEvent{{after: 1}}})
	add(d, "After so many changes of the entry", "signed number", &derivedEvent{after: 1})
	add(d, "Time", "time", &derivedEvent{time: time.Unix(1, 0)})
	add(d, "Change", "Change", &derivedEvent{change: new(Overstayed)})
	add(p, "Seq", "number", &snapshotPart{seq: 1})
	add(p, "Number", "signed number", &snapshotPart{number: 1})
	add(p, "Before, the checksum of the part before", "number", &snapshotPart{before: 1})
	add(p, "Piece of the stream", "bytes", &snapshotPart{piece: []byte{1}})
	return rows
}

// formOf returns how FORMAT.md calls a type.
func formOf(of reflect.Type, names map[reflect.Type]string) string {
	if name, ok := names[of]; ok {
		return name
	}
	switch of.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "truth"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "signed number"
	case reflect.Slice:
		return "list of " + formOf(of.Elem(), names)
	case reflect.Map:
		return "map to " + formOf(of.Elem(), names)
	case reflect.Pointer:
		return formOf(of.Elem(), names) + ", or none"
	default:
		return "number"
	}
}

// newAny returns an empty change of a kind, or nil.
func newAny(kind changeKind) Change {
	if c := newChange(kind); c != nil {
		return c
	}
	return newDerived(kind)
}

// tables returns the tables of FORMAT.md.
func tables(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	table := func(name, head string, rows map[int]string) {
		fmt.Fprintf(&b, "\n### %s\n\n| number | %s |\n|---|%s\n", name, head, strings.Repeat("---|", strings.Count(head, "|")+1))
		for _, number := range slices.Sorted(maps.Keys(rows)) {
			fmt.Fprintf(&b, "| %d | %s |\n", number, rows[number])
		}
	}
	names := map[reflect.Type]string{
		reflect.TypeFor[time.Time](): "time", reflect.TypeFor[placement.Constraint](): "constraint",
	}
	for _, m := range messages() {
		names[m.of] = m.name
	}
	kinds, items := make(map[int]string), make(map[int]string)
	for kind := range changeKind(math.MaxUint8) {
		if c := newAny(kind); c != nil {
			kinds[int(kind)] = reflect.TypeOf(c).Elem().Name() + " | " + kind.String()
		}
	}
	for kind := range itemKind(100) {
		if item := new(snapshotItems).empty(kind); item != nil {
			of := reflect.TypeOf(item).Elem()
			if of.NumField() == 1 && of.Field(0).Anonymous {
				of = of.Field(0).Type
			}
			items[int(kind)] = names[of] + " | " + kind.String()
		}
	}
	table("Change: one field, which says what it is", "message | name", kinds)
	table("Item of a snapshot", "message | name", items)
	unexported := unexportedFields(t)
	for _, m := range messages() {
		rows := unexported[m.name]
		if rows == nil {
			rows = make(map[int]string)
			for number, field := range m.fieldsOf(t) {
				rows[number] = field.Name + " | " + formOf(field.Type, names)
			}
			if m.of == reflect.TypeFor[Placed]() {
				rows[1] = "Request | placement.Request"
			}
		}
		table(m.name, "field | type", rows)
	}
	return b.String()
}

// TestFormatIsDescribed compares the tables of FORMAT.md with the code, which
// has every field of every type in a record.
func TestFormatIsDescribed(t *testing.T) {
	const file = "FORMAT.md"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text, got, _ := strings.Cut(string(data), "\n### ")
	want := tables(t)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text+want), 0o644))
		return
	}
	require.Equal(t, strings.Split(want, "\n"), strings.Split("\n### "+got, "\n"))
}

// TestPlacedRequestIsReadBack writes the request of a placement, which Placed has
// in pieces.
func TestPlacedRequestIsReadBack(t *testing.T) {
	req := filled(reflect.TypeFor[placement.Request]()).Interface().(placement.Request)
	rules := req
	rules.ID, rules.Resources = "", placement.Resources{}
	m := typed[Placed]()
	data := m.write(&Placed{ID: req.ID, Resources: req.Resources, rules: &rules})
	field, whole, _, err := codec.Cut(data)
	require.NoError(t, err)
	require.Equal(t, 1, field)
	require.Equal(t, codec.Write(new(codec.Coder), nil, &req, requestFields), whole)
	var got Placed
	require.NoError(t, m.read(data, &got))
	require.Equal(t, req, got.Request())
	require.Equal(t, data, m.write(&got))
}

// TestEveryMessageIsReadBack writes and reads each message with all its fields
// set, and knows all types that are in one.
func TestEveryMessageIsReadBack(t *testing.T) {
	known := map[reflect.Type]bool{
		reflect.TypeFor[time.Time](): true, reflect.TypeFor[placement.Constraint](): true, reflect.TypeFor[decided](): true,
	}
	for _, m := range messages() {
		known[m.of] = true
	}
	var look func(of reflect.Type)
	look = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Struct:
			require.Contains(t, known, of, "%s is in a record and not among the messages of this test", of)
		case reflect.Slice, reflect.Pointer, reflect.Map:
			look(of.Elem())
		default:
		}
	}
	for _, m := range messages() {
		for field := range m.of.Fields() {
			if field.IsExported() {
				look(field.Type)
			}
		}
		want := reflect.New(m.of)
		want.Elem().Set(filled(m.of))
		switch v := want.Interface().(type) {
		case *Placed:
			v.rules = new(placement.Request) // see TestPlacedRequestIsReadBack
		case *classItem:
			v.Request.ID, v.Request.Resources = "", placement.Resources{}
		}
		data := m.write(want.Interface())
		got := reflect.New(m.of)
		require.NoError(t, m.read(data, got.Interface()), m.name)
		require.Equal(t, want.Interface(), got.Interface())
		require.Equal(t, data, m.write(got.Interface()))
	}
}
