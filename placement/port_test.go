package placement_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// tcp returns ports of TCP.
func tcp(numbers ...uint16) []placement.Port {
	var ports []placement.Port
	for _, number := range numbers {
		ports = append(ports, placement.Port{Number: number})
	}
	return ports
}

func genPorts() *rapid.Generator[[]placement.Port] {
	port := rapid.Custom(func(t *rapid.T) placement.Port {
		return placement.Port{
			Number:   rapid.Uint16Min(1).Draw(t, "number"),
			Protocol: rapid.SampledFrom([]placement.Protocol{placement.TCP, placement.UDP}).Draw(t, "protocol"),
		}
	})
	return rapid.SliceOfNDistinct(port, 0, 4, rapid.ID[placement.Port])
}

func TestParsePort(t *testing.T) {
	tests := []struct {
		text string
		want placement.Port
	}{
		{"80", placement.Port{Number: 80}},
		{"1/tcp", placement.Port{Number: 1}},
		{"65535/udp", placement.Port{Number: 65535, Protocol: placement.UDP}},
		{"0080", placement.Port{Number: 80}},
		{text: ""},
		{text: "0"},
		{text: "65536"},
		{text: "-1"},
		{text: "+1"},
		{text: "80/"},
		{text: "80/UDP"},
		{text: "80/udp/"},
		{text: "/udp"},
		{text: "80 "},
		{text: "http"},
		{text: "٨٠"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParsePort(tt.text)
			require.Equal(t, tt.want, got)
			if tt.want.Number == 0 {
				require.ErrorIs(t, err, placement.ErrInvalid)
				return
			}
			require.NoError(t, err)
			require.NoError(t, got.Validate())
		})
	}
}

func TestPortJSON(t *testing.T) {
	for text, want := range map[string]placement.Port{
		`80`: {Number: 80}, `"80"`: {Number: 80}, `"80/udp"`: {Number: 80, Protocol: placement.UDP},
	} {
		got := placement.Port{Number: 1}
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, want, got)
	}
	kept := placement.Port{Number: 7, Protocol: placement.UDP}
	got := kept
	require.NoError(t, json.Unmarshal([]byte(`null`), &got))
	for _, text := range []string{`0`, `70000`, `1.5`, `8e1`, `"x"`, `true`, `{}`, `[80]`, `"80/sctp"`} {
		require.Error(t, json.Unmarshal([]byte(text), &got), text)
		require.Equal(t, kept, got, "a failed call changes nothing")
	}
}

// FuzzParsePort holds what is read to its text and its JSON, and a bare number to
// strconv.
func FuzzParsePort(f *testing.F) {
	for _, seed := range []string{"80", "53/udp", "443/tcp", "0", "65536", "x/udp", "1/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		port, err := placement.ParsePort(text)
		if n, bad := strconv.ParseUint(text, 10, 16); bad == nil && n > 0 && text[0] != '+' {
			require.NoError(t, err)
			require.Equal(t, placement.Port{Number: uint16(n)}, port)
		}
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			return
		}
		again, err := placement.ParsePort(port.String())
		require.NoError(t, err)
		require.Equal(t, port, again)
		encoded, err := json.Marshal(port)
		require.NoError(t, err)
		var decoded placement.Port
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, port, decoded)
	})
}

func TestPortRange(t *testing.T) {
	none, some := placement.PortRange{}, placement.PortRange{First: 20000, Last: 20003}
	require.Equal(t, []int{0, 4, 65535}, []int{none.Len(), some.Len(), placement.PortRange{First: 1, Last: 65535}.Len()})
	for number, in := range map[uint16]bool{0: false, 19999: false, 20000: true, 20003: true, 20004: false} {
		require.False(t, none.Contains(number))
		require.Equal(t, in, some.Contains(number), number)
	}
	require.Equal(t, []string{"none", "20000-20003"}, []string{none.String(), some.String()})
}
