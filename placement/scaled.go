package placement

// MaxScaled is the greatest value of a label that a ScaledLabel reads: the whole of
// its scale.
const MaxScaled = 1000

// ScaledLabel is a soft rule on a number that a node's label holds: its price, its
// measured load, its temperature, the distance of its data. It is how a program
// brings in what only it knows: it keeps the label up to date and says in every
// request what the number is worth.
//
// The term of the score is ScaledShare of the number, from 0 to Unit, times the weight.
// The rule never refuses a node.
type ScaledLabel struct {
	// Label is the key of the node label, not empty. What ScaledNumber reads of its
	// value counts; a missing label counts as 0.
	Label string `json:"label"`
	// Weight from 1 to 100 to prefer great values, or from -1 to -100 to avoid them.
	// Weight w makes MaxScaled outweigh w per cent of the whole scale of the
	// strategy, and half of MaxScaled half of that.
	Weight int `json:"weight"`
}

// ScaledNumber returns the number that the value of a scaled label stands for: an
// integer from 0 to MaxScaled, written as Greater and Less read it. Any other value
// counts as 0, and ScaledNumber reports false. It takes time in proportion to the
// length of the value, and allocates nothing.
func ScaledNumber(value string) (number int64, ok bool) {
	number, ok = parseInteger(value)
	if !ok || number < 0 || number > MaxScaled {
		return 0, false
	}
	return number, true
}

// ScaledShare returns the soft term of a number from 0 to MaxScaled,
// t = ⌊number × 2²⁰ / 1000⌋.
func ScaledShare(number int64) int64 { return number * Unit / MaxScaled }

func (l *ScaledLabel) validate() error {
	var found mistakes
	if l.Label == "" {
		found.add("label", "", "empty")
	}
	found.checkID("label", l.Label)
	found.checkSignedWeight(l.Weight)
	return found.join()
}
