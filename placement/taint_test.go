package placement_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestTaintText(t *testing.T) {
	tests := []struct {
		text  string
		want  placement.Taint
		again string // where it differs from text
	}{
		{text: "dedicated=gpu:NoSchedule", want: placement.Taint{"dedicated", "gpu", placement.NoSchedule}},
		{text: "node.kubernetes.io/not-ready:NoExecute", want: placement.Taint{"node.kubernetes.io/not-ready", "", placement.NoExecute}},
		{text: "in=and:PreferNoSchedule", want: placement.Taint{"in", "and", placement.PreferNoSchedule}},
		{text: `"a b"="c:d":NoSchedule`, want: placement.Taint{"a b", "c:d", placement.NoSchedule}},
		{text: `"a"="b":NoSchedule`, want: placement.Taint{"a", "b", placement.NoSchedule}, again: "a=b:NoSchedule"},
		{text: "a=:NoSchedule", want: placement.Taint{"a", "", placement.NoSchedule}, again: "a:NoSchedule"},
		{text: `"\n=\"é":NoSchedule`, want: placement.Taint{"\n=\"é", "", placement.NoSchedule}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseTaint(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			if tt.again == "" {
				tt.again = tt.text
			}
			require.Equal(t, tt.again, got.String())
		})
	}
}

func TestParseTaintErrors(t *testing.T) {
	tests := []struct {
		text   string
		fields []string
	}{
		{"", []string{"taint.key", "taint.effect"}},
		{":NoSchedule", []string{"taint.key"}},
		{"a", []string{"taint.effect"}},
		{"a:", []string{"taint"}},
		{"a:noschedule", []string{"taint.effect"}},
		{"a=b:NoSchedule ", []string{"taint"}},
		{" a:NoSchedule", []string{"taint"}},
		{"a b:NoSchedule", []string{"taint"}},
		{"a=b=c:NoSchedule", []string{"taint"}},
		{`"a:NoSchedule`, []string{"taint"}},
		{"`a`:NoSchedule", []string{"taint"}},
		{"é:NoSchedule", []string{"taint"}},
		{`"\xff"="\xff":NoSchedule`, []string{"taint.key", "taint.value"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseTaint(tt.text)
			requireFields(t, err, tt.fields...)
			require.Equal(t, placement.Taint{}, got)
		})
	}
}

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

func genTaint() *rapid.Generator[placement.Taint] {
	return rapid.Custom(func(t *rapid.T) placement.Taint {
		return placement.Taint{
			Key:    genWord().Filter(func(s string) bool { return s != "" }).Draw(t, "key"),
			Value:  genWord().Draw(t, "value"),
			Effect: rapid.SampledFrom([]placement.Effect{placement.NoSchedule, placement.PreferNoSchedule, placement.NoExecute}).Draw(t, "effect"),
		}
	})
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

func TestTaintsAndTolerationsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		taint := genTaint().Draw(t, "taint")
		require.NoError(t, taint.Validate())
		sameTaint, err := placement.ParseTaint(taint.String())
		require.NoError(t, err)
		require.Equal(t, taint, sameTaint)

		toleration := genToleration().Draw(t, "toleration")
		require.NoError(t, toleration.Validate())
		sameToleration, err := placement.ParseToleration(toleration.String())
		require.NoError(t, err, "%s", toleration)
		require.Equal(t, toleration, sameToleration)
	})
}

func FuzzParseTaint(f *testing.F) {
	for _, seed := range []string{"dedicated=gpu:NoSchedule", "a:NoExecute", `"a b"="":NoSchedule`, "a=", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		taint, err := placement.ParseTaint(text)
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			return
		}
		again, err := placement.ParseTaint(taint.String())
		require.NoError(t, err)
		require.Equal(t, taint, again)
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
