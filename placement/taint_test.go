package placement_test

import (
	"testing"

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

func genTaint() *rapid.Generator[placement.Taint] {
	return rapid.Custom(func(t *rapid.T) placement.Taint {
		return placement.Taint{
			Key:    genWord().Filter(func(s string) bool { return s != "" }).Draw(t, "key"),
			Value:  genWord().Draw(t, "value"),
			Effect: rapid.SampledFrom([]placement.Effect{placement.NoSchedule, placement.PreferNoSchedule, placement.NoExecute}).Draw(t, "effect"),
		}
	})
}

func TestTaintStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		taint := genTaint().Draw(t, "taint")
		require.NoError(t, taint.Validate())
		same, err := placement.ParseTaint(taint.String())
		require.NoError(t, err, "%s", taint)
		require.Equal(t, taint, same)
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
