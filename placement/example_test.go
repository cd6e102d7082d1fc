package placement_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
)

// A node, a request with rules, and what the rules say of the node.
func Example() {
	node := placement.Node{
		ID:       "n1",
		Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
		Labels:   map[string]string{"region": "us-east-1", "disk": "ssd"},
		Taints:   []placement.Taint{{Key: "dedicated", Value: "backend", Effect: placement.NoSchedule}},
	}
	request := placement.Request{
		ID: "web-1", Namespace: "team-backend", Group: "web",
		Resources: placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB},
		Preferences: placement.Use(placement.BinPack).
			Require(placement.In("region", "us-east-1", "us-east-2")).
			Prefer(placement.Equal("disk", "ssd"), 50).
			TolerateExists("dedicated"),
	}
	fmt.Println("valid:", node.Validate() == nil && request.Validate() == nil)
	fmt.Println("fits:", request.Resources.FitsIn(node.Allocatable()))
	for _, rule := range request.Preferences.Required {
		fmt.Printf("required: %s: %t\n", rule, node.Meets(rule))
	}
	for _, taint := range node.Taints {
		fmt.Printf("taint: %s: tolerated: %t\n", taint, placement.Tolerated(taint, request.Preferences.Tolerations))
	}
	// Output:
	// valid: true
	// fits: true
	// required: region in (us-east-1, us-east-2): true
	// taint: dedicated=backend:NoSchedule: tolerated: true
}

// Every mistake is reported at once, with the path of its field.
func ExampleRequest_Validate() {
	request := placement.Request{
		Resources: placement.Resources{CPU: -1, GPU: 1500},
		Ports:     []placement.Port{{Number: 80}, {Number: 80}},
		Preferences: placement.Use(placement.BinPack).
			Require(placement.Equal("", "eu"), placement.Matches("host", "(")).
			Prefer(placement.Exists("ssd"), 500),
	}
	fmt.Println(request.Validate())
	// Output:
	// placement: invalid id: empty
	// placement: invalid resources.cpu "-1": negative
	// placement: invalid resources.gpu "1500": want whole devices or a fraction of one
	// placement: invalid ports[1] "80": given twice
	// placement: invalid preferences.required[0] "=": empty key
	// placement: invalid preferences.required[1] "(": error parsing regexp: missing closing ): `(`
	// placement: invalid preferences.preferred[0].weight "500": want 1 to 100, or -1 to -100 to avoid
}

// The order of ports does not matter.
func ExampleRequest_Equal() {
	dns, tls := placement.Port{Number: 53, Protocol: placement.UDP}, placement.Port{Number: 853}
	a := placement.Request{ID: "dns-1", Ports: []placement.Port{dns, tls}, Duration: time.Hour}
	b := placement.Request{ID: "dns-1", Ports: []placement.Port{tls, dns}, Duration: time.Hour}
	fmt.Println(a.Equal(b))
	b.Duration = 0
	fmt.Println(a.Equal(b))
	// Output:
	// true
	// false
}

func ExampleRequest_Clone() {
	a := placement.Request{ID: "a", Labels: map[string]string{"app": "web"}}
	b := a.Clone()
	b.Labels["app"] = "db"
	fmt.Println(a.Labels["app"], b.Labels["app"])
	// Output: web db
}

// Ports are claims: two instances with the same port of the same protocol never
// share a node. In JSON a port of TCP is its number, and others are text.
func ExamplePort() {
	request := placement.Request{ID: "dns-1", Ports: []placement.Port{{Number: 53}, {Number: 53, Protocol: placement.UDP}}}
	fmt.Println(request.Ports, request.Validate())
	encoded, _ := json.Marshal(request.Ports)
	fmt.Println(string(encoded))
	var ports []placement.Port
	fmt.Println(json.Unmarshal([]byte(`[53, "53/udp", "443/tcp"]`), &ports), ports)
	// Output:
	// [53 53/udp] <nil>
	// [53,"53/udp"]
	// <nil> [53 53/udp 443]
}

func ExampleParsePort() {
	fmt.Println(placement.ParsePort("53/udp"))
	_, err := placement.ParsePort("53/icmp")
	fmt.Println(err)
	// Output:
	// 53/udp <nil>
	// placement: invalid port "53/icmp": want a number with /tcp, /udp or nothing
}

// A node gives dynamic ports of a range, and never one that it reserves.
func ExamplePortRange() {
	node := placement.Node{
		ID:            "n1",
		ReservedPorts: []placement.Port{{Number: 22}, {Number: 20000}},
		DynamicPorts:  placement.PortRange{First: 20000, Last: 32000},
	}
	fmt.Println(node.DynamicPorts, node.DynamicPorts.Len(), node.DynamicPorts.Contains(19999), node.Validate())
	// Output: 20000-32000 12001 false <nil>
}

// A request as JSON: constraints are their text, what is absent is left out.
func ExampleRequest_json() {
	request := placement.Request{
		ID:        "train-1",
		Resources: placement.Resources{CPU: 8 * placement.Core, GPU: 2 * placement.Device},
		Preferences: placement.Use(placement.Spread).
			Require(placement.Equal(placement.LabelGPUModel, "A100")).
			Across(placement.AtMostPer("rack", 1)),
	}
	encoded, _ := json.MarshalIndent(request, "", "  ")
	fmt.Println(string(encoded))
	// Output:
	// {
	//   "id": "train-1",
	//   "resources": {
	//     "cpu": 8000,
	//     "gpu": 2000
	//   },
	//   "preferences": {
	//     "strategy": "spread",
	//     "required": [
	//       "gpu.model = A100"
	//     ],
	//     "spread": [
	//       {
	//         "topology": "rack",
	//         "maxPerDomain": 1
	//       }
	//     ]
	//   }
	// }
}

// The builder leaves its receiver alone, so that one value may begin many.
func ExampleUse() {
	base := placement.Use(placement.BinPack).Require(placement.Equal("region", "eu"))
	fast := base.Require(placement.Equal("disk", "ssd"))
	big := base.Require(placement.Greater("cores", 64))
	fmt.Println(len(base.Required), fast.Required[1], big.Required[1])
	// Output: 1 disk = ssd cores > 64
}

// Preferences are as well written as a literal.
func ExamplePreferences() {
	built := placement.Use(placement.Affinity).
		Prefer(placement.Equal("disk", "ssd"), 50).
		Prefer(placement.Equal("old", "yes"), -20). // avoid
		TolerateEqual("dedicated", "db").
		Near(placement.Attract(placement.Equal("app", "cache")).Within("zone")).
		Across(placement.EvenlyOver("zone", 1))
	literal := placement.Preferences{
		Strategy: placement.Affinity,
		Preferred: []placement.Preference{
			{Constraint: placement.Equal("disk", "ssd"), Weight: 50},
			{Constraint: placement.Equal("old", "yes"), Weight: -20},
		},
		Tolerations: []placement.Toleration{{Key: "dedicated", Value: "db"}},
		Affinity:    []placement.AffinityTerm{{Selector: placement.Equal("app", "cache"), Topology: "zone"}},
		Spread:      []placement.SpreadRule{{Topology: "zone", MaxSkew: 1}},
	}
	fmt.Println(built.Equal(literal), built.Validate())
	// Output: true <nil>
}

func ExampleParseStrategy() {
	strategy, err := placement.ParseStrategy("leastfragmentation")
	fmt.Println(strategy == placement.LeastFragmentation, err)
	_, err = placement.ParseStrategy("fastest")
	fmt.Println(err)
	// Output:
	// true <nil>
	// placement: invalid strategy "fastest": want one of binpack, spread, random, affinity, leastfragmentation
}

// Every mistake unwraps to ErrInvalid and says where it is.
func ExampleInvalidError() {
	_, err := placement.ParseQuantity(placement.NameMemory, "8 gigs")
	if invalid, ok := errors.AsType[*placement.InvalidError](err); ok {
		fmt.Printf("%s: %q: %s\n", invalid.Field, invalid.Value, invalid.Reason)
	}
	fmt.Println(errors.Is(err, placement.ErrInvalid))
	// Output:
	// memory: "8 gigs": unknown unit
	// true
}

// Reasons stand in the order in which the filters run.
func ExampleCompareReasons() {
	reasons := []placement.Reason{
		{Kind: placement.ReasonResource, Name: placement.NameMemory},
		{Kind: placement.ReasonConstraint, Index: 1, Detail: "disk = ssd"},
		{Kind: placement.ReasonResource, Name: placement.NameCPU},
		{Kind: placement.ReasonTaint, Detail: "dedicated=db:NoSchedule"},
	}
	slices.SortFunc(reasons, placement.CompareReasons)
	for _, reason := range reasons {
		fmt.Printf("%s %s%s\n", reason.Kind, reason.Name, reason.Detail)
	}
	// Output:
	// taint dedicated=db:NoSchedule
	// constraint disk = ssd
	// resource cpu
	// resource memory
}

// What a tenant sends is bounded, and so is what an error repeats of it.
func ExampleInvalidError_longValue() {
	err := placement.Request{
		ID:     "web-1",
		Labels: map[string]string{"note": strings.Repeat("all work and no play ", 10_000)},
	}.Validate()
	if invalid, ok := errors.AsType[*placement.InvalidError](err); ok {
		fmt.Println(invalid.Field, len(invalid.Value), invalid.Reason)
	}
	fmt.Println(len(err.Error()) < 1000)
	// Output:
	// labels["note"] 210000 longer than 1024 bytes
	// true
}

// A service tells its caller everything that is wrong with a body, where, and what may
// have been meant.
func ExampleDecodeJSON() {
	var request placement.Request
	err := placement.DecodeJSON([]byte(`{
		"resources": {"cpus": "500m", "memory": "8GiB"},
		"labels": {"tier": 1},
		"duration": "1h",
		"preferences": {"strategy": "pack"}
	}`), &request)
	fmt.Println(err)
	// Output:
	// placement: invalid resources.cpus: no such dimension (did you mean "cpu"?); custom ones stand under custom
	// placement: invalid labels["tier"] "1": want text
	// placement: invalid preferences.strategy "pack": want one of binpack, spread, random, affinity, leastfragmentation
	// placement: invalid id: empty
}
