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
		spread    []int // where Spread differs
	}{
		{"fraction: the least left", 200, nil, []int{1}, []int{0}},
		{"fraction: equal fits", 300, nil, []int{1}, []int{0}},
		{"fraction: the first of several", 400, nil, []int{2}, []int{0}},
		{"fraction: an untouched one", 600, nil, []int{0}, nil},
		{"fraction: the preferred one", 200, []int{3}, []int{3}, nil},
		{"fraction: the first preferred one", 200, []int{5, 4, 3}, []int{4}, nil},
		{"fraction: not where there is no room", 400, []int{1, 9}, []int{2}, []int{0}},
		{"fraction: not where there is no device", 400, []int{-1, 7}, []int{2}, []int{0}},
		{"whole: by index", 2000, nil, []int{0, 3}, nil},
		{"whole: all", 3000, nil, []int{0, 3, 6}, nil},
		{"whole: too many", 4000, nil, nil, nil},
		{"whole: preferred ones first", 2000, []int{6, 5, 6}, []int{0, 6}, nil},
		{"whole: not where there is no device", 2000, []int{-1, 7, 6}, []int{0, 6}, nil},
		{"whole: the first preferred ones", 1000, []int{3, 6}, []int{3}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread, placement.LeastFragmentation} {
				want := test.want
				if strategy == placement.Spread && test.spread != nil {
					want = test.spread
				}
				devices, ok := placement.ChooseDevices(left, test.amount, strategy, test.preferred...)
				require.Equal(t, want != nil, ok)
				if ok {
					require.Equal(t, want, devices, "%s", strategy)
				}
			}
		})
	}
	devices, ok := placement.ChooseDevices(nil, 0, placement.BinPack)
	require.True(t, ok)
	require.Nil(t, devices)
	_, ok = placement.ChooseDevices(nil, 1, placement.BinPack)
	require.False(t, ok)
}

func TestABrokenDeviceIsNoCapacity(t *testing.T) {
	n := placement.Node{ID: "n", Devices: placement.Devices{Count: 4, Broken: []int{3, 1}}}
	require.NoError(t, n.Validate())
	n = n.Canonical()
	require.Equal(t, []int{1, 3}, n.Devices.Broken)
	require.Equal(t, int64(4000), n.Capacity.GPU)
	require.Equal(t, int64(2000), n.Allocatable().GPU)
	require.Equal(t, 2, n.Devices.Working())
	for i, works := range []bool{true, false, true, false, false} {
		require.Equal(t, works, n.Devices.Works(i), i)
	}
	require.False(t, n.Devices.Works(-1))
}
