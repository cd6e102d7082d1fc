package placement_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestTolerationText(t *testing.T) {
	tests := []struct {
		text  string
		want  placement.Toleration
		again string // where it differs from text
	}{
		{text: "*", want: placement.TolerateExists("")},
		{text: "*:NoExecute for 300s", want: placement.TolerateExists("").OnlyFor(placement.NoExecute).AtMost(300)},
		{text: "* for 1s", want: placement.TolerateExists("").AtMost(1)},
		{text: "dedicated", want: placement.TolerateExists("dedicated")},
		{text: "dedicated:NoSchedule", want: placement.TolerateExists("dedicated").OnlyFor(placement.NoSchedule)},
		{text: "dedicated=gpu", want: placement.TolerateEqual("dedicated", "gpu")},
		{text: "dedicated=gpu:NoExecute for 60s", want: placement.TolerateEqual("dedicated", "gpu").OnlyFor(placement.NoExecute).AtMost(60)},
		{text: `dedicated=""`, want: placement.TolerateEqual("dedicated", "")},
		{text: "dedicated=", want: placement.TolerateEqual("dedicated", ""), again: `dedicated=""`},
		{text: `"*"`, want: placement.TolerateExists("*")},
		{text: "exists=in", want: placement.TolerateEqual("exists", "in")},
		{text: "a for +5s", want: placement.TolerateExists("a").AtMost(5), again: "a for 5s"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseToleration(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			if tt.again == "" {
				tt.again = tt.text
			}
			require.Equal(t, tt.again, got.String())
		})
	}
}

func TestParseTolerationErrors(t *testing.T) {
	tests := []struct {
		text   string
		fields []string
	}{
		{"", []string{"toleration"}},
		{":NoSchedule", []string{"toleration"}},
		{"=a", []string{"toleration"}},
		{`""=a`, []string{"toleration"}},
		{"*a", []string{"toleration"}},
		{"*=a", []string{"toleration"}},
		{`*""`, []string{"toleration"}},
		{"**", []string{"toleration"}},
		{"a:Never", []string{"toleration.effect"}},
		{"a:", []string{"toleration"}},
		{"*:", []string{"toleration"}},
		{"a: for 5s", []string{"toleration"}},
		{"a for", []string{"toleration"}},
		{"a for 0s", []string{"toleration"}},
		{"a for 5", []string{"toleration"}},
		{"a for 5m", []string{"toleration"}},
		{"a  for 5s", []string{"toleration"}},
		{"a for 9223372036854775808s", []string{"toleration"}},
		{"a for -5s", []string{"toleration.seconds"}},
		{"a for 9223372037s", []string{"toleration.seconds"}},
		{"a:NoSchedule for 5s", []string{"toleration.seconds"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseToleration(tt.text)
			requireFields(t, err, tt.fields...)
			require.Equal(t, placement.Toleration{}, got)
		})
	}
}

func TestTolerationValidate(t *testing.T) {
	type tol = placement.Toleration
	tests := []struct {
		name string
		got  tol
		want []string
	}{
		{"all", tol{Exists: true}, nil},
		{"longest", tol{Key: "a", Seconds: math.MaxInt64 / int64(time.Second)}, nil},
		{"zero", tol{}, []string{"key"}},
		{"empty key and exists with a value", tol{Value: "x", Exists: true}, []string{"value"}},
		{"everything wrong", tol{Key: "\xff", Value: "\xff", Exists: true, Effect: "x", Seconds: -1}, []string{"key", "value", "value", "effect", "seconds"}},
		{"too long", tol{Key: "a", Seconds: math.MaxInt64}, []string{"seconds"}},
		{"seconds without NoExecute", tol{Key: "a", Effect: placement.PreferNoSchedule, Seconds: 1}, []string{"seconds"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.got.Validate(), tt.want...)
		})
	}
}

func TestEvictionDelay(t *testing.T) {
	taint := placement.Taint{Key: "gone", Value: "soon", Effect: placement.NoExecute}
	key := placement.TolerateExists("gone")
	tests := []struct {
		name        string
		tolerations []placement.Toleration
		want        time.Duration
		due         bool
	}{
		{"none: at once", nil, 0, true},
		{"another key: at once", []placement.Toleration{placement.TolerateExists("other")}, 0, true},
		{"another value: at once", []placement.Toleration{placement.TolerateEqual("gone", "late")}, 0, true},
		{"another effect: at once", []placement.Toleration{key.OnlyFor(placement.NoSchedule)}, 0, true},
		{"without limit: never", []placement.Toleration{key}, 0, false},
		{"the least of all", []placement.Toleration{key.AtMost(300), key.AtMost(60), placement.TolerateExists("").AtMost(90)}, time.Minute, true},
		{"one without limit constrains nothing", []placement.Toleration{key, key.AtMost(60)}, time.Minute, true},
		{"one that does not match constrains nothing", []placement.Toleration{key.AtMost(60), placement.TolerateExists("other").AtMost(1)}, time.Minute, true},
		{"longer than a duration", []placement.Toleration{key.AtMost(math.MaxInt64)}, math.MaxInt64 / time.Second * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, due := placement.EvictionDelay(taint, tt.tolerations)
			require.Equal(t, tt.due, due)
			require.Equal(t, tt.want, got)
		})
	}
	for _, effect := range []placement.Effect{placement.NoSchedule, placement.PreferNoSchedule} {
		_, due := placement.EvictionDelay(placement.Taint{Key: "gone", Effect: effect}, nil)
		require.False(t, due, effect)
	}
}

func genToleration() *rapid.Generator[placement.Toleration] {
	return rapid.Custom(func(t *rapid.T) placement.Toleration {
		got := placement.TolerateExists(genWord().Draw(t, "key"))
		if got.Key != "" && rapid.Bool().Draw(t, "equal") {
			got = placement.TolerateEqual(got.Key, genWord().Draw(t, "value"))
		}
		got.Effect = rapid.SampledFrom([]placement.Effect{"", placement.NoSchedule, placement.PreferNoSchedule, placement.NoExecute}).Draw(t, "effect")
		if got.Effect == "" || got.Effect == placement.NoExecute {
			got.Seconds = rapid.Int64Range(0, math.MaxInt64/int64(time.Second)).Draw(t, "seconds")
		}
		return got
	})
}

func TestTolerationStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		toleration := genToleration().Draw(t, "toleration")
		require.NoError(t, toleration.Validate())
		same, err := placement.ParseToleration(toleration.String())
		require.NoError(t, err, "%s", toleration)
		require.Equal(t, toleration, same)
	})
}

func FuzzParseToleration(f *testing.F) {
	for _, seed := range []string{"*", "*:NoExecute for 300s", `a=""`, "a=b:NoSchedule", "a for 5s", `*""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		toleration, err := placement.ParseToleration(text)
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			return
		}
		again, err := placement.ParseToleration(toleration.String())
		require.NoError(t, err)
		require.Equal(t, toleration, again)
	})
}
