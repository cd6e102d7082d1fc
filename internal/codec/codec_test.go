package codec_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/internal/codec"
)

// all has a field of each sort.
type all struct {
	Text     string
	Name     string
	Signed   int32
	Wide     int64
	Small    uint8
	Unsigned uint64
	Truth    bool
	Bytes    []byte
	Inner    inner
	Perhaps  *inner
	Inners   []inner
	Names    []string
	Ints     []int
	Map      map[string]int64
	Maps     map[string]inner
	Time     time.Time
}

type inner struct {
	Text string
	Next []inner
}

func describeAll(c *codec.Coder, v *all) {
	codec.Text(c, 1, &v.Text)
	codec.Name(c, 2, &v.Name)
	codec.Int(c, 3, &v.Signed)
	codec.Int(c, 4, &v.Wide)
	codec.Int(c, 5, &v.Small)
	codec.Int(c, 6, &v.Unsigned)
	codec.Bool(c, 7, &v.Truth)
	codec.Bytes(c, 8, &v.Bytes)
	codec.Message(c, 9, &v.Inner, describeInner)
	codec.Optional(c, 10, &v.Perhaps, describeInner)
	codec.List(c, 11, &v.Inners, describeInner)
	codec.Names(c, 12, &v.Names)
	codec.Ints(c, 13, &v.Ints)
	codec.Map(c, 14, &v.Map, codec.Int[int64])
	codec.Map(c, 15, &v.Maps, func(c *codec.Coder, field int, v *inner) { codec.Message(c, field, v, describeInner) })
	codec.Time(c, 16, &v.Time)
}

func describeInner(c *codec.Coder, v *inner) {
	codec.Text(c, 1, &v.Text)
	codec.List(c, 2, &v.Next, describeInner)
}

func write(v *all) []byte { return codec.Write(new(codec.Coder), nil, v, describeAll) }

func read(data []byte) (v all, err error) {
	err = codec.Read(new(codec.Coder), data, &v, describeAll)
	return v, err
}

func drawInner(t *rapid.T, depth int) inner {
	v := inner{Text: rapid.StringN(0, 3, 200).Draw(t, "text")}
	for range rapid.IntRange(0, depth).Draw(t, "next") {
		v.Next = append(v.Next, drawInner(t, depth-1))
	}
	return v
}

// orNil returns nil for a list that is empty, as one is read.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func draw(t *rapid.T) all {
	v := all{
		Text:     rapid.String().Draw(t, "text"),
		Name:     strings.Repeat(rapid.StringN(0, 2, -1).Draw(t, "name"), rapid.IntRange(1, 100).Draw(t, "times")),
		Signed:   rapid.Int32().Draw(t, "signed"),
		Wide:     rapid.Int64().Draw(t, "wide"),
		Small:    rapid.Uint8().Draw(t, "small"),
		Unsigned: rapid.Uint64().Draw(t, "unsigned"),
		Truth:    rapid.Bool().Draw(t, "truth"),
		Bytes:    orNil(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")),
		Inner:    drawInner(t, 2),
		Names:    orNil(rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "names")),
		Ints:     orNil(rapid.SliceOf(rapid.Int()).Draw(t, "ints")),
	}
	if rapid.Bool().Draw(t, "perhaps") {
		v.Perhaps = new(drawInner(t, 1))
	}
	for range rapid.IntRange(0, 3).Draw(t, "inners") {
		v.Inners = append(v.Inners, drawInner(t, 2))
	}
	if m := rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 4).Draw(t, "map"); len(m) > 0 {
		v.Map = m
	}
	if n := rapid.IntRange(0, 3).Draw(t, "maps"); n > 0 {
		v.Maps = make(map[string]inner)
		for i := range n {
			v.Maps[strings.Repeat("k", i)] = drawInner(t, 1)
		}
	}
	if rapid.Bool().Draw(t, "time") {
		seconds := rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds")
		v.Time = time.Unix(seconds, rapid.Int64Range(1, 999_999_999).Draw(t, "nanoseconds")).UTC()
	}
	return v
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := draw(t)
		data := write(&want)
		got, err := read(data)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, data, write(&got))
		if len(data) > 0 {
			_, err = read(data[:len(data)-1])
			require.Error(t, err, "cut off")
		}
	})
}

func TestCoderServesAgain(t *testing.T) {
	c := new(codec.Coder)
	var v all
	require.Error(t, codec.Read(c, []byte{0xff}, &v, describeAll))
	for range 2 {
		data := codec.Write(c, []byte("before"), &all{Text: "a", Map: map[string]int64{"b": 1, "a": 2}}, describeAll)
		require.Equal(t, "before", string(data[:6]))
		v = all{}
		require.NoError(t, codec.Read(c, data[6:], &v, describeAll))
		require.Equal(t, "a", v.Text)
	}
}

// TestForm pins the bytes.
func TestForm(t *testing.T) {
	tests := []struct {
		name string
		v    all
		want string
	}{
		{"nothing", all{}, ""},
		{"text", all{Text: "a"}, "0a0161"},
		{"negative", all{Signed: -1, Wide: math.MinInt64}, "180120ffffffffffffffffff01"},
		{"unsigned", all{Small: 200, Unsigned: 300}, "28c80130ac02"},
		{"truth", all{Truth: true}, "3801"},
		{"an optional message that is empty", all{Perhaps: new(inner)}, "5200"},
		{"list", all{Inners: []inner{{}, {Text: "b"}}}, "5a005a030a0162"},
		{"numbers", all{Ints: []int{0, -1, 64}}, "6a0400018001"},
		{"map", all{Map: map[string]int64{"b": 0, "a": 1}}, "72050a016110027203" + "0a0162"},
		{"time", all{Time: time.Unix(1, 2)}, "8201" + "0408021002"},
		{"1970", all{Time: time.Unix(0, 0)}, "820100"},
		{"long", all{Inner: inner{Text: strings.Repeat("x", 126)}}, "4a8001" + "0a7e" + strings.Repeat("78", 126)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, hex.EncodeToString(write(&test.v)))
		})
	}
}

// timeOf writes a time that need not be one.
func timeOf(seconds int64, nanoseconds uint32) string {
	data := codec.Write(new(codec.Coder), nil, new(int), func(c *codec.Coder, v *int) {
		codec.Message(c, 16, v, func(c *codec.Coder, _ *int) {
			codec.Int(c, 1, &seconds)
			codec.Int(c, 2, &nanoseconds)
		})
	})
	return hex.EncodeToString(data)
}

func TestOneEncodingForEachValue(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"unknown field", "880101", "field 17 is unknown"},
		{"another form", "0801", "field 1 is unknown"},
		{"form of fixed size", "0d01020304", "field 1 is unknown"},
		{"fields out of order", "12016a0a0161", "field 1 is unknown, or not in its place"},
		{"field twice", "0a01610a0161", "not in its place"},
		{"field 0", "0001", "field 0"},
		{"zero", "1800", "field 3 is there and empty"},
		{"empty text", "0a00", "field 1 is there and empty"},
		{"empty message", "4a00", "field 9 is there and empty"},
		{"no numbers", "6a00", "field 13 is there and empty"},
		{"longer than it need be", "188100", "too long"},
		{"too great", "18ffffffffff01", "too great"},
		{"too great for a byte", "28ac02", "too great"},
		{"truth of 2", "3802", "neither true nor false"},
		{"keys out of order", "72050a0162100272050a01611002", "do not ascend"},
		{"key twice", "72050a0161100272050a01611002", "do not ascend"},
		{"length beyond the end", "0a05", "beyond the end"},
		{"length beyond the message", "4a020a05", "beyond the end"},
		{"unknown in a message", "4a021801", "field 3 is unknown"},
		{"list cut off", "5a005a05", "beyond the end"},
		{"nothing but a tag", "0a", "cut off"},
		{"first second of the year 10000", timeOf(253402300800, 0), "no time"},
		{"last second before the year 1", timeOf(-62135596801, 0), "no time"},
		{"the zero time", timeOf(-62135596800, 0), "no time"},
		{"too many nanoseconds", timeOf(1, 1_000_000_000), "no time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, err := hex.DecodeString(test.data)
			require.NoError(t, err)
			_, err = read(data)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestNamesAreShared(t *testing.T) {
	c := new(codec.Coder)
	var first, second all
	data := write(&all{Name: "zone", Map: map[string]int64{"zone": 1}})
	require.NoError(t, codec.Read(c, data, &first, describeAll))
	require.NoError(t, codec.Read(c, data, &second, describeAll))
	require.Same(t, unsafe.StringData(first.Name), unsafe.StringData(second.Name))
	for key := range second.Map {
		require.Same(t, unsafe.StringData(first.Name), unsafe.StringData(key))
	}
}

// outer ends with fields that are likely to come again.
type outer struct {
	ID   string
	Rest *inner
}

func describeOuter(c *codec.Coder, v *outer) {
	codec.Text(c, 1, &v.ID)
	codec.Rest(c, &v.Rest, func(c *codec.Coder, v *inner) {
		codec.Text(c, 2, &v.Text)
		codec.List(c, 3, &v.Next, describeInner)
	})
}

func TestRestIsShared(t *testing.T) {
	c := new(codec.Coder)
	read := func(data []byte) (v outer, err error) {
		err = codec.Read(c, data, &v, describeOuter)
		return v, err
	}
	write := func(v outer) []byte { return codec.Write(new(codec.Coder), nil, &v, describeOuter) }
	rest := &inner{Text: "same", Next: []inner{{Text: "x"}}}
	a, err := read(write(outer{"a", rest}))
	require.NoError(t, err)
	require.Equal(t, outer{"a", rest}, a)
	b, err := read(write(outer{"b", rest}))
	require.NoError(t, err)
	require.Equal(t, outer{"b", rest}, b)
	require.Same(t, a.Rest, b.Rest)
	other, err := read(write(outer{"a", &inner{Text: "other"}}))
	require.NoError(t, err)
	require.Equal(t, "other", other.Rest.Text)
	for _, alone := range []outer{{}, {ID: "a"}} {
		none, err := read(write(alone))
		require.NoError(t, err)
		require.Equal(t, alone, none)
	}
	for range 2 { // what was refused is not kept
		_, err = read(append(write(outer{"a", rest}), 4<<3, 1))
		require.ErrorContains(t, err, "field 4 is unknown")
	}
	for i := range 10_000 { // more than is kept
		v := outer{"a", &inner{Text: fmt.Sprint(i)}}
		got, err := read(write(v))
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
}

func TestFieldsAreCut(t *testing.T) {
	data := codec.WriteField(new(codec.Coder), nil, 7, &inner{Text: "a"}, describeInner)
	whole := codec.WriteField(new(codec.Coder), data, 300, new(inner), describeInner)
	for n := range len(data) {
		field, _, rest, err := codec.Cut(whole[:n])
		require.NoError(t, err)
		require.Zero(t, field)
		require.Len(t, rest, n)
	}
	field, message, rest, err := codec.Cut(whole)
	require.NoError(t, err)
	require.Equal(t, 7, field)
	require.Equal(t, "\x0a\x01a", string(message))
	field, message, rest, err = codec.Cut(rest)
	require.NoError(t, err)
	require.Equal(t, 300, field)
	require.Empty(t, message)
	require.Empty(t, rest)
	for _, bad := range []string{"\x08\x01", "\x02\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		_, _, _, err = codec.Cut([]byte(bad))
		require.Error(t, err, "%x", bad)
	}
}

// FuzzRead feeds any bytes: they are refused, or written again as they were.
func FuzzRead(f *testing.F) {
	f.Add(write(&all{
		Text: "a", Signed: -1, Truth: true, Perhaps: &inner{Text: "p"}, Inners: []inner{{Next: []inner{{}}}},
		Names: []string{"", "x"}, Ints: []int{1, -2}, Map: map[string]int64{"a": 1}, Maps: map[string]inner{"": {}},
		Time: time.Unix(7, 8),
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := read(data)
		if err != nil {
			return
		}
		require.Equal(t, string(data), string(write(&v)))
	})
}

// TestWritingOnlyReads is for the race detector: values that are written may be
// shared with who reads them.
func TestWritingOnlyReads(*testing.T) {
	v := all{Truth: true, Text: "text", Inners: []inner{{Text: "a"}}, Map: map[string]int64{"a": 1}, Time: time.Unix(1, 0)}
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() { write(&v) })
	}
	writers.Wait()
}
