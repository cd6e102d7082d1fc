package placement_test

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// Run where the cache runs, and rather in the same rack.
func ExampleAttract() {
	cache := placement.Equal("app", "cache")
	preferences := placement.Use(placement.BinPack).Near(
		placement.Attract(cache).Within("zone"),
		placement.Attract(cache).Within("rack").Weighing(50))
	for _, term := range preferences.Affinity {
		fmt.Println(term.Selector, "in the same", term.Topology, "required:", term.Required())
	}
	// Output:
	// app = cache in the same zone required: true
	// app = cache in the same rack required: false
}

// Never share a node with another web server; symmetric, because required.
func ExampleRepel() {
	term := placement.Repel(placement.Equal("app", "web"))
	fmt.Println(term.Repel, term.Required(), term.Topology == "")
	// Output: true true true
}

// A term looks at the request's own namespace unless it names others.
func ExampleAffinityTerm_Matches() {
	labels := map[string]string{"app": "web"}
	term := placement.Repel(placement.Equal("app", "web"))
	fmt.Println(term.Matches("team-a", "team-a", labels))
	fmt.Println(term.Matches("team-a", "team-b", labels))
	fmt.Println(term.Among("team-b", "team-c").Matches("team-a", "team-b", labels))
	fmt.Println(term.Among(placement.AllNamespaces).Matches("team-a", "team-b", labels))
	// Output:
	// true
	// false
	// true
	// true
}

// No zone may be more than one instance ahead of the emptiest, and three
// zones have to exist.
func ExampleEvenlyOver() {
	hard := placement.EvenlyOver("zone", 1).Needing(3)
	soft := placement.EvenlyOver("rack", 1).Weighing(20)
	counted := placement.EvenlyOver("zone", 1).Counting(placement.In("app", "web", "api"))
	fmt.Println(hard.Hard(), hard.MinDomains)
	fmt.Println(soft.Hard(), soft.Weight)
	fmt.Println(counted.Selector)
	// Output:
	// true 3
	// false 20
	// app in (api, web)
}

func ExampleAtMostPer() {
	rule := placement.AtMostPer("rack", 2)
	fmt.Println(rule.Topology, rule.MaxPerDomain, rule.Hard())
	// Output: rack 2 true
}

// What the named domains leave to 100 is the target of every other.
func ExampleShareOver() {
	rule := placement.ShareOver("dc", map[string]int{"paris": 60, "oslo": 30}, 50)
	fmt.Println(rule.Target("paris"), rule.Target("oslo"), rule.Target("rome"))
	fmt.Println(placement.ShareOver("dc", map[string]int{"paris": 60, "oslo": 50}, 50).Validate())
	// Output:
	// 60 30 10
	// placement: invalid targets "110": more than 100 per cent in sum
}
