package placement

import (
	"strconv"
	"strings"
)

// To add a strategy:
//
//   - here, its constant and its name, which must be the last; TestStrategy of the
//     package names all of them;
//   - internal/index/search.go: rankOf, its order of the nodes, bestRow and gridPays;
//     compiled_rules.go, what it counts; probe.go, whether its term packs; level.go and
//     ordering.go, where the order of a grid does not serve it. The oracle of the
//     package's tests says the same by looking at every node, in ranked, and
//     generate_test.go draws the strategy by its number;
//   - ChooseDevices, if it takes other GPUs of a node than BinPack does;
//   - scheduler/state_decide.go: better, its order among nodes with holds, and
//     the words of reasonFor. Lint names the switches of better and rankOf;
//   - reservation/plan.go: rulesAmongSlots, whether slots that are placed already matter;
//   - TestEveryStrategyDecidesAndSaysWhy of package scheduler fails until the
//     strategy has words and agrees with the onlooker of oracle_test.go, which takes
//     one that it does not know for BinPack. Books without a scheduler refuse all but
//     BinPack.

// Strategy is how the best of the feasible nodes is chosen. The zero value is
// BinPack.
type Strategy uint8

// The strategies. Soft rules act in all of them; ties always go to the node
// that joined first.
const (
	// BinPack fills the fullest node that fits, by the share of it that is used.
	BinPack Strategy = iota
	// Spread takes the node with the fewest instances of the request's
	// namespace and group, if it has a group, then the emptiest.
	Spread
	// Random draws uniformly from the feasible nodes of the best soft score.
	Random
	// Affinity takes the best soft score and packs among equals.
	Affinity
	// LeastFragmentation takes the node on which the request costs the least of
	// the free GPU capacity that the cluster's typical workload could use, in
	// steps of 0.04 of a GPU, and the fullest of equals.
	LeastFragmentation
)

func strategyNames() []string {
	return []string{"binpack", "spread", "random", "affinity", "leastfragmentation"}
}

// String returns the strategy's name in lower case.
func (s Strategy) String() string {
	if names := strategyNames(); int(s) < len(names) {
		return names[s]
	}
	return "strategy(" + strconv.Itoa(int(s)) + ")"
}

// ParseStrategy reads a strategy's name.
func ParseStrategy(name string) (Strategy, error) {
	for i, known := range strategyNames() {
		if name == known {
			return Strategy(i), nil
		}
	}
	return 0, invalid("strategy", name, "want one of "+strings.Join(strategyNames(), ", "))
}

// Validate reports an unknown strategy.
func (s Strategy) Validate() error {
	if int(s) >= len(strategyNames()) {
		return invalid("strategy", s.String(), "unknown")
	}
	return nil
}

// MarshalText returns the strategy's name.
func (s Strategy) MarshalText() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads the strategy's name.
func (s *Strategy) UnmarshalText(text []byte) error {
	parsed, err := ParseStrategy(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
