package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestChooseDevices(t *testing.T) {
	left := []int64{1000, 300, 500, 1000, 500, 0, 1000}
	tests := []struct {
		name      string
		amount    int64
		preferred []int
		want      []int // nil: no room
	}{
		{"fraction: the least left", 200, nil, []int{1}},
		{"fraction: equal fits", 300, nil, []int{1}},
		{"fraction: the first of several", 400, nil, []int{2}},
		{"fraction: an untouched one", 600, nil, []int{0}},
		{"fraction: the preferred one", 200, []int{3}, []int{3}},
		{"fraction: the first preferred one", 200, []int{5, 4, 3}, []int{4}},
		{"fraction: not where there is no room", 400, []int{1, 9}, []int{2}},
		{"fraction: not where there is no device", 400, []int{-1, 7}, []int{2}},
		{"whole: by index", 2000, nil, []int{0, 3}},
		{"whole: all", 3000, nil, []int{0, 3, 6}},
		{"whole: too many", 4000, nil, nil},
		{"whole: preferred ones first", 2000, []int{6, 5, 6}, []int{0, 6}},
		{"whole: not where there is no device", 2000, []int{-1, 7, 6}, []int{0, 6}},
		{"whole: the first preferred ones", 1000, []int{3, 6}, []int{3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			devices, ok := placement.ChooseDevices(left, test.amount, test.preferred...)
			require.Equal(t, test.want != nil, ok)
			if ok {
				require.Equal(t, test.want, devices)
			}
		})
	}
	devices, ok := placement.ChooseDevices(nil, 0)
	require.True(t, ok)
	require.Nil(t, devices)
	_, ok = placement.ChooseDevices(nil, 1)
	require.False(t, ok)
}
