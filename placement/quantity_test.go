package placement_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestParseQuantity(t *testing.T) {
	const (
		cpu, memory, network = placement.NameCPU, placement.NameMemory, placement.NameNetwork
		bad                  = int64(-1)
	)
	tests := []struct {
		name placement.ResourceName
		text string
		want int64
	}{
		{cpu, "4", 4000},
		{cpu, "1.5", 1500},
		{cpu, "500m", 500},
		{cpu, ".5", 500},
		{cpu, "5.", 5000},
		{cpu, "0.001", 1},
		{cpu, "0.0010000000000000000000000", 1},
		{cpu, "0", 0},
		{cpu, "000000000000000000000000000001", 1000},
		{cpu, "9223372036854775.807", math.MaxInt64},
		{cpu, "9223372036854775807m", math.MaxInt64},
		{placement.NameGPU, "0.25", 250},
		{placement.NameGPU, "2", 2 * placement.Device},
		{memory, "512", 512},
		{memory, "512B", 512},
		{memory, "1KiB", placement.KiB},
		{memory, "1.5GiB", 1536 * placement.MiB},
		{memory, "2TiB", 2 * placement.TiB},
		{memory, "3KB", 3 * placement.KB},
		{memory, "3MB", 3 * placement.MB},
		{memory, "3GB", 3 * placement.GB},
		{memory, "3TB", 3 * placement.TB},
		{memory, "100.000003814697265625TiB", 100*placement.TiB + 4*placement.MiB},
		{memory, "8388607.999999TB", 8388607999999000000},
		{placement.NameDisk, "1MiB", placement.MiB},
		{network, "10", 10},
		{network, "10bps", 10},
		{network, "10kbps", 10_000},
		{network, "100Mbps", 100 * placement.Mbps},
		{network, "2.5Gbps", 2500 * placement.Mbps},
		{"licence", "7", 7},

		{cpu, "", bad},
		{cpu, ".", bad},
		{cpu, "m", bad},
		{cpu, "-1", bad},
		{cpu, "+1", bad},
		{cpu, " 1", bad},
		{cpu, "1 ", bad},
		{cpu, "1 m", bad},
		{cpu, "0.0005", bad},
		{cpu, "1.5m", bad},
		{cpu, "1.2.3", bad},
		{cpu, "1_000", bad},
		{cpu, "1e3", bad},
		{cpu, "0x10", bad},
		{cpu, "NaN", bad},
		{cpu, "Inf", bad},
		{cpu, "1GiB", bad},
		{cpu, "٣", bad},
		{cpu, "9223372036854775.808", bad},
		{cpu, "18446744073709551616", bad},
		{cpu, strings.Repeat("9", 400), bad},
		{memory, "0.5", bad},
		{memory, "8388608TiB", bad},
		{memory, "16777216TiB", bad},
		{memory, "16777216.5TiB", bad},
		{memory, "1gib", bad},
		{memory, "1000m", bad},
		{memory, "0.0000000000009094947017729282379150390625TiB", bad}, // one byte, in more decimals than are read
		{network, "1GB", bad},
		{"licence", "1.5", bad},
		{"licence", "1m", bad},
	}
	for _, tt := range tests {
		t.Run(string(tt.name)+" "+tt.text, func(t *testing.T) {
			got, err := placement.ParseQuantity(tt.name, tt.text)
			if tt.want == bad {
				requireFields(t, err, string(tt.name))
				require.Zero(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestFormatQuantity(t *testing.T) {
	tests := []struct {
		name   placement.ResourceName
		amount int64
		want   string
	}{
		{placement.NameCPU, 0, "0"},
		{placement.NameCPU, 4000, "4"},
		{placement.NameCPU, 1500, "1500m"},
		{placement.NameGPU, 250, "250m"},
		{placement.NameMemory, 0, "0"},
		{placement.NameMemory, 8 * placement.GiB, "8GiB"},
		{placement.NameMemory, 1536 * placement.MiB, "1536MiB"},
		{placement.NameMemory, 1000, "1000"},
		{placement.NameDisk, 2 * placement.TiB, "2TiB"},
		{placement.NameNetwork, 2500 * placement.Mbps, "2500Mbps"},
		{placement.NameNetwork, 10 * placement.Gbps, "10Gbps"},
		{placement.NameNetwork, 1500, "1500bps"},
		{"licence", 1024, "1024"},
		{placement.NameCPU, -1500, "-1500m"},
		{placement.NameMemory, math.MinInt64, "-8388608TiB"},
		{placement.NameMemory, math.MaxInt64, "9223372036854775807"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			require.Equal(t, tt.want, placement.FormatQuantity(tt.name, tt.amount))
		})
	}
}

func TestParseResources(t *testing.T) {
	tests := []struct {
		text, want string
		fields     []string
	}{
		{text: "", want: "none"},
		{text: "none", want: "none"},
		{text: "cpu=1.5, memory=512MiB, licence=2", want: "cpu=1500m memory=512MiB licence=2"},
		{text: "b=1,a=1 gpu=0.5", want: "gpu=500m a=1 b=1"},
		{text: "cpu=0 x=0", want: "none"},
		{text: "cpu=1\tgpu=0.5\n", want: "cpu=1 gpu=500m"},
		{text: "cpu", fields: []string{"resources"}},
		{text: "instances=3", fields: []string{"resources"}},
		{text: "cpu=1 cpu=1", fields: []string{"resources"}},
		{text: "x=0 x=1", fields: []string{"resources"}},
		{text: "CPU=4", fields: []string{"custom"}},
		{text: "é=0", fields: []string{"custom"}},
		{text: "=1", fields: []string{"custom"}},
		{text: "cpu=x memory=1Gib disk=-1 oops", fields: []string{"cpu", "memory", "disk", "resources"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseResources(tt.text)
			requireFields(t, err, tt.fields...)
			if err != nil {
				require.Equal(t, placement.Resources{}, got)
				return
			}
			require.Equal(t, tt.want, got.String())
		})
	}
}

// TestQuantityStable checks parse → format → parse for every dimension.
func TestQuantityStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := genResourceName().Draw(t, "name")
		amount := genAmount().Draw(t, "amount")
		text := placement.FormatQuantity(name, amount)
		got, err := placement.ParseQuantity(name, text)
		require.NoError(t, err)
		require.Equal(t, amount, got)
	})
}

// TestQuantityIsExact compares the parser with rational arithmetic.
func TestQuantityIsExact(t *testing.T) {
	sizes := map[string]int64{
		"": 1, "B": 1, "KB": placement.KB, "MB": placement.MB, "GB": placement.GB, "TB": placement.TB,
		"KiB": placement.KiB, "MiB": placement.MiB, "GiB": placement.GiB, "TiB": placement.TiB,
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{1,20}(\.[0-9]{1,18})?`).Draw(t, "number")
		suffix := rapid.SampledFrom([]string{"", "B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"}).Draw(t, "suffix")
		want, ok := new(big.Rat).SetString(number)
		require.True(t, ok)
		want.Mul(want, new(big.Rat).SetInt64(sizes[suffix]))
		got, err := placement.ParseQuantity(placement.NameMemory, number+suffix)
		if want.IsInt() && want.Num().IsInt64() {
			require.NoError(t, err)
			require.Equal(t, want.Num().Int64(), got)
		} else {
			require.ErrorIs(t, err, placement.ErrInvalid)
		}
	})
}

func FuzzParseQuantity(f *testing.F) {
	for _, seed := range []string{"4", "1.5", "500m", "8GiB", "100.000003814697265625TiB", "2.5Gbps", ".", "-1"} {
		f.Add("cpu", seed)
		f.Add("memory", seed)
		f.Add("network", seed)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		amount, err := placement.ParseQuantity(placement.ResourceName(name), text)
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.Zero(t, amount)
			return
		}
		require.GreaterOrEqual(t, amount, int64(0))
		again, err := placement.ParseQuantity(placement.ResourceName(name), placement.FormatQuantity(placement.ResourceName(name), amount))
		require.NoError(t, err)
		require.Equal(t, amount, again)
	})
}

func FuzzParseResources(f *testing.F) {
	for _, seed := range []string{"none", "cpu=4 memory=8GiB", "a=1,b=2", "cpu=1 cpu=1", "é=0", "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := placement.ParseResources(text)
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.True(t, r.IsZero())
			return
		}
		require.NoError(t, r.Validate())
		again, err := placement.ParseResources(r.String())
		require.NoError(t, err)
		require.True(t, again.Equal(r))
		require.Equal(t, r.String(), again.String())
	})
}
