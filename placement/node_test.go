package placement_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestNodeValidate(t *testing.T) {
	type (
		n      = placement.Node
		r      = placement.Resources
		labels = map[string]string
		ratios = map[placement.ResourceName]placement.Ratio
	)
	tests := []struct {
		name string
		node n
		want []string
	}{
		{name: "only an ID", node: n{ID: "n1"}},
		{name: "an ID of any text", node: n{ID: "Raum 3/é \n"}},
		{name: "devices alone", node: n{ID: "n1", Devices: placement.Devices{Count: 8, Model: "A100"}}},
		{name: "amount alone", node: n{ID: "n1", Capacity: r{GPU: 8000}, Devices: placement.Devices{Model: "A100"}}},
		{name: "both equal", node: n{ID: "n1", Capacity: r{GPU: 2000}, Devices: placement.Devices{Count: 2}}},
		{name: "most devices", node: n{ID: "n1", Devices: placement.Devices{Count: placement.MaxDevices}}},
		{name: "everything reserved", node: n{ID: "n1", Capacity: r{CPU: 4, Custom: map[string]int64{"x": 1}}, Reserved: r{CPU: 4, Custom: map[string]int64{"x": 1}}}},
		{name: "same key, two effects", node: n{ID: "n1", Taints: []placement.Taint{{Key: "a", Effect: placement.NoExecute}, {Key: "a", Effect: placement.NoSchedule}}}},
		{name: "overcommit", node: n{ID: "n1", Capacity: r{CPU: 4}, Overcommit: ratios{"cpu": {3, 2}, "licence": {2, 1}}}},

		{name: "no ID", node: n{}, want: []string{"id"}},
		{name: "text that is not UTF-8", node: n{ID: "\xff", Name: "\xfe", Devices: placement.Devices{Count: 1, Model: "\xff"}, Labels: labels{"\xff": "a", "b": "\xff"}}, want: []string{"id", "name", "devices.model", "labels", `labels["b"]`}},
		{name: "amounts", node: n{ID: "n1", Capacity: r{CPU: -1, Custom: map[string]int64{"cpu": 1}}, Reserved: r{Memory: -1}}, want: []string{"capacity.cpu", "capacity.custom", "reserved.memory"}},
		{name: "reserved too much", node: n{ID: "n1", Capacity: r{CPU: 4}, Reserved: r{CPU: 5, Custom: map[string]int64{"x": 1}}}, want: []string{"reserved.cpu", "reserved.x"}},
		{name: "reserved GPUs", node: n{ID: "n1", Capacity: r{GPU: 2000}, Reserved: r{GPU: 1000}}, want: []string{"reserved.gpu"}},
		{name: "devices and amount differ", node: n{ID: "n1", Capacity: r{GPU: 3000}, Devices: placement.Devices{Count: 2}}, want: []string{"capacity.gpu"}},
		{name: "part of a device", node: n{ID: "n1", Capacity: r{GPU: 1500}}, want: []string{"capacity.gpu"}},
		{name: "negative devices", node: n{ID: "n1", Devices: placement.Devices{Count: -1}}, want: []string{"devices.count"}},
		{name: "too many devices", node: n{ID: "n1", Devices: placement.Devices{Count: placement.MaxDevices + 1}}, want: []string{"devices.count"}},
		{name: "too large an amount of devices", node: n{ID: "n1", Capacity: r{GPU: math.MaxInt64 / 1000 * 1000}}, want: []string{"capacity.gpu"}},
		{name: "broken devices in any order", node: n{ID: "n1", Devices: placement.Devices{Count: 3, Broken: []int{2, 0}}}},
		{name: "broken device of an amount alone", node: n{ID: "n1", Capacity: r{GPU: 2000}, Devices: placement.Devices{Broken: []int{1}}}},
		{name: "broken devices that are not there", node: n{ID: "n1", Devices: placement.Devices{Count: 2, Broken: []int{-1, 2, 1}}}, want: []string{"devices.broken[0]", "devices.broken[1]"}},
		{name: "broken device given twice", node: n{ID: "n1", Devices: placement.Devices{Count: 2, Broken: []int{1, 1}}}, want: []string{"devices.broken[1]"}},
		{name: "too many broken devices", node: n{ID: "n1", Devices: placement.Devices{Count: 2, Broken: make([]int, placement.MaxDevices+1)}}, want: []string{"devices.broken"}},
		{name: "ports", node: n{ID: "n1", ReservedPorts: append(tcp(22, 53), placement.Port{Number: 53, Protocol: placement.UDP}), DynamicPorts: placement.PortRange{First: 22, Last: 22}}},
		{name: "all ports are dynamic", node: n{ID: "n1", DynamicPorts: placement.PortRange{First: 1, Last: 65535}}},
		{name: "reserved port twice", node: n{ID: "n1", ReservedPorts: tcp(22, 22, 0)}, want: []string{"reservedPorts[1]", "reservedPorts[2]"}},
		{name: "dynamic ports from 0", node: n{ID: "n1", DynamicPorts: placement.PortRange{Last: 9}}, want: []string{"dynamicPorts"}},
		{name: "dynamic ports the wrong way round", node: n{ID: "n1", DynamicPorts: placement.PortRange{First: 9, Last: 8}}, want: []string{"dynamicPorts"}},
		{name: "model without devices", node: n{ID: "n1", Devices: placement.Devices{Model: "A100"}}, want: []string{"devices.model"}},
		{name: "instances", node: n{ID: "n1", MaxInstances: -1}, want: []string{"maxInstances"}},
		{name: "labels", node: n{ID: "n1", Labels: labels{"": "x", placement.LabelGPUModel: "A100"}}, want: []string{"labels", `labels["gpu.model"]`}},
		{name: "overcommit of devices", node: n{ID: "n1", Overcommit: ratios{"gpu": {2, 1}, "instances": {2, 1}}}, want: []string{"overcommit.gpu", "overcommit.instances"}},
		{name: "overcommit ratios", node: n{ID: "n1", Capacity: r{CPU: math.MaxInt64}, Overcommit: ratios{"cpu": {3, 2}, "disk": {0, 1}, "memory": {1, 0}, "network": {-1, -1}}}, want: []string{"overcommit.cpu", "overcommit.disk", "overcommit.memory", "overcommit.network"}},
		{name: "overcommit of malformed names", node: n{ID: "n1", Overcommit: ratios{"": {2, 1}, "a b": {2, 1}, "CPU": {2, 1}}}, want: []string{"overcommit.custom", "overcommit.custom", "overcommit.custom"}},
		{name: "taints", node: n{ID: "n1", Taints: []placement.Taint{{Key: "a", Effect: placement.NoSchedule}, {}, {Key: "a", Value: "b", Effect: placement.NoSchedule}}}, want: []string{"taints[1].key", "taints[1].effect", "taints[2]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.node.Validate(), tt.want...)
			require.Len(t, fieldsOf(tt.node.Canonical().Validate()), len(tt.want), "the canonical form hides no mistake")
		})
	}
}

func TestNodeCanonical(t *testing.T) {
	type r = placement.Resources
	tests := []struct {
		name      string
		got, want placement.Node
	}{
		{name: "zero"},
		{
			name: "empty collections are nil",
			got: placement.Node{
				Capacity: r{Custom: map[string]int64{"x": 0}}, Reserved: r{Custom: map[string]int64{}},
				Overcommit: map[placement.ResourceName]placement.Ratio{}, Labels: map[string]string{}, Taints: []placement.Taint{},
			},
		},
		{
			name: "amount from devices",
			got:  placement.Node{Devices: placement.Devices{Count: 2}},
			want: placement.Node{Devices: placement.Devices{Count: 2}, Capacity: r{GPU: 2000}},
		},
		{
			name: "devices from amount",
			got:  placement.Node{Capacity: r{GPU: 2000}},
			want: placement.Node{Devices: placement.Devices{Count: 2}, Capacity: r{GPU: 2000}},
		},
		{
			name: "reserved ports by number",
			got:  placement.Node{ReservedPorts: append(tcp(80, 22), placement.Port{Number: 22, Protocol: placement.UDP})},
			want: placement.Node{ReservedPorts: append(tcp(22), placement.Port{Number: 22, Protocol: placement.UDP}, placement.Port{Number: 80})},
		},
		{
			name: "broken devices by index",
			got:  placement.Node{Devices: placement.Devices{Count: 3, Broken: []int{2, 0}}},
			want: placement.Node{Devices: placement.Devices{Count: 3, Broken: []int{0, 2}}, Capacity: r{GPU: 3000}},
		},
		{
			name: "taints by key and effect",
			got:  placement.Node{Taints: []placement.Taint{{"b", "1", "NoSchedule"}, {"a", "", "NoSchedule"}, {"b", "2", "NoExecute"}}},
			want: placement.Node{Taints: []placement.Taint{{"a", "", "NoSchedule"}, {"b", "2", "NoExecute"}, {"b", "1", "NoSchedule"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			canonical := tt.got.Canonical()
			require.Equal(t, tt.want, canonical)
			require.Equal(t, canonical, canonical.Canonical())
		})
	}
}

func TestNodeCanonicalSharesNothing(t *testing.T) {
	node := placement.Node{
		ID: "n1", Capacity: placement.Resources{Custom: map[string]int64{"x": 2}}, Reserved: placement.Resources{Custom: map[string]int64{"x": 1}},
		Overcommit: map[placement.ResourceName]placement.Ratio{"x": {2, 1}},
		Labels:     map[string]string{"a": "b"}, Taints: []placement.Taint{{"a", "", "NoSchedule"}},
		Devices: placement.Devices{Count: 2, Broken: []int{1}}, ReservedPorts: tcp(22),
	}
	canonical := node.Canonical()
	want := node.Canonical()
	node.Capacity.Custom["x"], node.Reserved.Custom["x"], node.Devices.Broken[0], node.ReservedPorts[0].Number = 9, 9, 0, 1
	node.Overcommit["x"], node.Labels["a"], node.Taints[0].Key = placement.Ratio{}, "c", "c"
	require.Equal(t, want, canonical)
}

func TestNodeAllocatable(t *testing.T) {
	node := placement.Node{
		ID:       "n1",
		Capacity: placement.Resources{CPU: 7, Memory: 100, Custom: map[string]int64{"x": 3}},
		Reserved: placement.Resources{CPU: 2, Custom: map[string]int64{"x": 1}},
		Overcommit: map[placement.ResourceName]placement.Ratio{
			"cpu": {3, 2}, "memory": {1, 3}, "x": {5, 1}, "absent": {2, 1},
		},
	}
	require.NoError(t, node.Validate())
	require.Equal(t, placement.Resources{CPU: 7, Memory: 33, Custom: map[string]int64{"x": 10}}, node.Allocatable())
	require.Equal(t, placement.Resources{}, (&placement.Node{Reserved: placement.Resources{CPU: 1}}).Allocatable(), "an invalid node gives nothing")
}

func TestNodeLabelAndMeets(t *testing.T) {
	node := placement.Node{ID: "n1", Labels: map[string]string{"region": "eu"}, Devices: placement.Devices{Count: 1, Model: "A100"}}
	model, ok := node.Label(placement.LabelGPUModel)
	require.True(t, ok)
	require.Equal(t, "A100", model)
	require.True(t, node.Meets(placement.And(placement.Equal("region", "eu"), placement.Equal(placement.LabelGPUModel, "A100"))))
	require.False(t, node.Meets(placement.Exists("rack")))
	without := placement.Node{ID: "n2"}
	_, ok = without.Label(placement.LabelGPUModel)
	require.False(t, ok)
	require.True(t, without.Meets(placement.NotExists(placement.LabelGPUModel)))
}

func TestRatioScale(t *testing.T) {
	tests := []struct {
		name   string
		ratio  placement.Ratio
		amount int64
		want   int64
		ok     bool
	}{
		{"half as much again", placement.Ratio{3, 2}, 5, 7, true},
		{"the product needs 128 bits", placement.Ratio{math.MaxInt64, math.MaxInt64}, math.MaxInt64, math.MaxInt64, true},
		{"too large", placement.Ratio{math.MaxInt64, 1}, 2, 0, false},
		{"just too large", placement.Ratio{2, 1}, 1 << 62, 0, false},
		{"quotient above 64 bits", placement.Ratio{math.MaxInt64, 1}, math.MaxInt64, 0, false},
		{"quotient of just 64 bits", placement.Ratio{8, 2}, 1 << 62, 0, false},
		{"zero amount", placement.Ratio{1, 1}, 0, 0, true},
		{"zero ratio", placement.Ratio{}, 1, 0, false},
		{"negative ratio", placement.Ratio{-1, 1}, 1, 0, false},
		{"negative denominator", placement.Ratio{1, -1}, 1, 0, false},
		{"negative amount", placement.Ratio{1, 1}, -1, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.ratio.Scale(tt.amount)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.want, got)
		})
	}
	t.Run("as rational arithmetic", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			ratio := placement.Ratio{genAmount().Draw(t, "numerator"), genAmount().Draw(t, "denominator")}
			amount := genAmount().Draw(t, "amount")
			got, ok := ratio.Scale(amount)
			if ratio.Numerator == 0 || ratio.Denominator == 0 {
				require.False(t, ok)
				return
			}
			want := new(big.Int).Mul(big.NewInt(amount), big.NewInt(ratio.Numerator))
			want.Quo(want, big.NewInt(ratio.Denominator))
			require.Equal(t, want.IsInt64(), ok)
			if ok {
				require.Equal(t, want.Int64(), got)
			}
		})
	})
}

func FuzzNodeJSON(f *testing.F) {
	f.Add([]byte(`{"id":"n1","name":"a","capacity":{"cpu":4000,"x":1},"reserved":{"cpu":1},"devices":{"count":2,"model":"A100"},"maxInstances":3,"overcommit":{"cpu":{"numerator":3,"denominator":2}},"labels":{"a":"b"},"taints":[{"key":"k","value":"v","effect":"NoExecute"}]}`))
	f.Add([]byte(`{"id":"n1","capacity":{"gpu":500}}`))
	f.Add([]byte(`{"id":"n1","devices":{"count":3,"broken":[2,0]},"reservedPorts":[22,"53/udp"],"dynamicPorts":{"first":20000,"last":32000}}`))
	f.Add([]byte(`{"capacity":{"cpu":-9223372036854775808},"reserved":{"cpu":9223372036854775807}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var node placement.Node
		if json.Unmarshal(data, &node) != nil {
			return
		}
		if err := node.Validate(); err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.Error(t, node.Canonical().Validate(), "the canonical form hides no mistake")
			return
		}
		canonical := node.Canonical()
		require.NoError(t, canonical.Validate())
		require.NoError(t, canonical.Allocatable().Validate())
		var again placement.Node
		encoded, err := json.Marshal(canonical)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(encoded, &again))
		require.Equal(t, canonical, again)
	})
}

func TestNodeEqual(t *testing.T) {
	n := placement.Node{
		ID: "n1", Name: "first", Capacity: placement.Resources{CPU: 4, Custom: map[string]int64{"x": 1}},
		Reserved: placement.Resources{CPU: 1}, Devices: placement.Devices{Count: 1, Model: "m"}, MaxInstances: 2,
		Overcommit: map[placement.ResourceName]placement.Ratio{placement.NameCPU: {Numerator: 2, Denominator: 1}},
		Labels:     map[string]string{"a": "b"},
		Taints:     []placement.Taint{{Key: "k", Effect: placement.NoSchedule}, {Key: "a", Effect: placement.NoSchedule}},
	}
	require.True(t, n.Equal(n.Canonical()))
	for name, change := range map[string]func(*placement.Node){
		"id":             func(n *placement.Node) { n.ID = "n2" },
		"name":           func(n *placement.Node) { n.Name = "" },
		"capacity":       func(n *placement.Node) { n.Capacity.CPU++ },
		"reserved":       func(n *placement.Node) { n.Reserved.CPU++ },
		"devices":        func(n *placement.Node) { n.Devices.Model = "" },
		"reserved ports": func(n *placement.Node) { n.ReservedPorts = tcp(22) },
		"dynamic ports":  func(n *placement.Node) { n.DynamicPorts.Last++ },
		"broken":         func(n *placement.Node) { n.Devices.Broken = []int{0} },
		"instances":      func(n *placement.Node) { n.MaxInstances++ },
		"overcommit":     func(n *placement.Node) { n.Overcommit = nil },
		"labels":         func(n *placement.Node) { n.Labels = nil },
		"taints":         func(n *placement.Node) { n.Taints = n.Taints[:1] },
	} {
		other := n
		change(&other)
		require.False(t, n.Equal(other), name)
	}
}
