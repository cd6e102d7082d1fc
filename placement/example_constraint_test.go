package placement_test

import (
	"encoding/json"
	"fmt"

	"github.com/rads-project/constellation/placement"
)

func ExampleEqual() {
	rule := placement.Equal("disk", "ssd")
	fmt.Println(rule, rule.Match(map[string]string{"disk": "ssd"}), rule.Match(nil))
	// Output: disk = ssd true false
}

// A missing label is another value.
func ExampleNotEqual() {
	rule := placement.NotEqual("disk", "ssd")
	fmt.Println(rule, rule.Match(map[string]string{"disk": "ssd"}), rule.Match(nil))
	// Output: disk != ssd false true
}

func ExampleIn() {
	rule := placement.In("region", "us", "eu")
	fmt.Println(rule, rule.Match(map[string]string{"region": "eu"}), rule.Match(nil))
	// Output: region in (eu, us) true false
}

// A missing label has none of the values.
func ExampleNotIn() {
	rule := placement.NotIn("region", "us", "eu")
	fmt.Println(rule, rule.Match(map[string]string{"region": "eu"}), rule.Match(nil))
	// Output: region notin (eu, us) false true
}

func ExampleExists() {
	rule := placement.Exists("ssd")
	fmt.Println(rule, rule.Match(map[string]string{"ssd": ""}), rule.Match(nil))
	// Output: ssd exists true false
}

func ExampleNotExists() {
	rule := placement.NotExists("ssd")
	fmt.Println(rule, rule.Match(map[string]string{"ssd": ""}), rule.Match(nil))
	// Output: ssd notexists false true
}

// Labels are compared as integers; one that is none never satisfies.
func ExampleGreater() {
	rule := placement.Greater("cores", 9)
	for _, cores := range []string{"10", "9", "many"} {
		fmt.Println(rule, cores, rule.Match(map[string]string{"cores": cores}))
	}
	// Output:
	// cores > 9 10 true
	// cores > 9 9 false
	// cores > 9 many false
}

func ExampleLess() {
	rule := placement.Less("load", 80)
	fmt.Println(rule, rule.Match(map[string]string{"load": "79"}), rule.Match(map[string]string{"load": "80"}))
	// Output: load < 80 true false
}

func ExampleVersion() {
	rule := placement.Version("kernel", ">= 5.4, < 7")
	for _, kernel := range []string{"5.4.0-150-generic", "5.14.0-362.8.1.el9_3.x86_64", "4.18.0", "7.0", "latest"} {
		fmt.Println(kernel, rule.Match(map[string]string{"kernel": kernel}))
	}
	fmt.Println(placement.Version("driver", ">= 525").Match(map[string]string{"driver": "535.129.03"}))
	// Output:
	// 5.4.0-150-generic true
	// 5.14.0-362.8.1.el9_3.x86_64 true
	// 4.18.0 false
	// 7.0 false
	// latest false
	// true
}

// SemVer knows pre-releases, which come before their release.
func ExampleSemVer() {
	rule := placement.SemVer("agent", ">= 1.4.0-rc.1, < 2")
	for _, agent := range []string{"1.4.0-rc.2", "v1.4.0", "1.4.0-beta.9", "2.0.0-rc.1", "1.4.0.1"} {
		fmt.Println(agent, rule.Match(map[string]string{"agent": agent}))
	}
	// Output:
	// 1.4.0-rc.2 true
	// v1.4.0 true
	// 1.4.0-beta.9 false
	// 2.0.0-rc.1 true
	// 1.4.0.1 false
}

// A label that cannot be read satisfies no comparison. A refusal names its value.
func ExampleNode_Unreadable() {
	node := placement.Node{ID: "n1", Labels: map[string]string{"driver": "N/A"}}
	fmt.Println(node.Unreadable(placement.Version("driver", ">= 525")))
	// Output: driver N/A true
}

func ExampleMatches() {
	rule := placement.Matches("host", "^db-[0-9]+$")
	fmt.Println(rule, rule.Match(map[string]string{"host": "db-17"}), rule.Match(map[string]string{"host": "mydb-17"}))
	// Output: host matches "^db-[0-9]+$" true false
}

func ExampleAnd() {
	rule := placement.And(placement.Equal("arch", "arm64"), placement.Greater("cores", 8))
	fmt.Println(rule, rule.Match(map[string]string{"arch": "arm64", "cores": "16"}))
	// Output: arch = arm64 and cores > 8 true
}

func ExampleOr() {
	rule := placement.Or(placement.Equal("disk", "ssd"), placement.Equal("disk", "nvme"), placement.Exists("ramdisk"))
	fmt.Println(rule, rule.Match(map[string]string{"disk": "nvme"}))
	// Output: disk = ssd or disk = nvme or ramdisk exists true
}

func ExampleNot() {
	rule := placement.Not(placement.And(placement.Equal("a", "1"), placement.Exists("b")))
	fmt.Println(rule, rule.Match(map[string]string{"a": "1"}))
	// Output: not (a = 1 and b exists) true
}

// "and" binds tighter than "or"; the canonical text says so in parentheses.
func ExampleParseConstraint() {
	rule, err := placement.ParseConstraint("region=eu and not (disk=hdd) or cores>64")
	fmt.Println(rule, err)
	_, err = placement.ParseConstraint("region = eu and")
	fmt.Println(err)
	_, err = placement.ParseConstraint(`host matches "("`)
	fmt.Println(err)
	// Output:
	// (region = eu and not (disk = hdd)) or cores > 64 <nil>
	// placement: invalid constraint "region = eu and": want a key
	// placement: invalid constraint "(": error parsing regexp: missing closing ): `(`
}

// The text is the only encoding, in JSON as elsewhere.
func ExampleConstraint_MarshalText() {
	encoded, _ := json.Marshal(placement.In("region", "us", "eu"))
	fmt.Println(string(encoded))
	var rule placement.Constraint
	err := json.Unmarshal(encoded, &rule)
	fmt.Println(rule.Equal(placement.In("region", "eu", "us")), err)
	// Output:
	// "region in (eu, us)"
	// true <nil>
}

// A mistake made in building is kept until the rule is validated.
func ExampleConstraint_Validate() {
	rule := placement.And(placement.Version("kernel", "5.4"), placement.In("region"))
	fmt.Println(rule.Validate())
	// Output:
	// placement: invalid "5.4": want comparisons like >= 1.4 separated by commas
	// placement: invalid "region": want at least one value
}

// The parts of a rule, for whoever compiles or displays rules.
func ExampleConstraint_Operands() {
	rule := placement.Or(placement.In("region", "us", "eu"), placement.Greater("cores", 8))
	for _, operand := range rule.Operands() {
		fmt.Println(operand.Operator(), operand.Key(), operand.Values(), operand.Bound())
	}
	// Output:
	// in region [eu us] 0
	// > cores [] 8
}

func ExampleConstraint_MatchValue() {
	rule := placement.NotIn("region", "us")
	fmt.Println(rule.MatchValue("eu", true), rule.MatchValue("us", true), rule.MatchValue("", false))
	// Output: true false true
}
