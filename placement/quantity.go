package placement

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
)

// unit is a suffix of a quantity and what one of it is in base units.
type unit struct {
	suffix string
	size   int64
}

// parseUnits lists the units that a dimension is read in.
func parseUnits(name ResourceName) []unit {
	switch name {
	case NameCPU, NameGPU:
		return []unit{{"", 1000}, {"m", 1}}
	case NameMemory, NameDisk:
		return []unit{
			{"", 1},
			{"B", 1},
			{"KB", KB},
			{"MB", MB},
			{"GB", GB},
			{"TB", TB},
			{"KiB", KiB},
			{"MiB", MiB},
			{"GiB", GiB},
			{"TiB", TiB},
		}
	case NameNetwork:
		return []unit{{"", 1}, {"bps", 1}, {"kbps", 1000}, {"Mbps", Mbps}, {"Gbps", Gbps}}
	default:
		return []unit{{"", 1}}
	}
}

// formatUnits lists the units that a dimension is written in, large to small.
func formatUnits(name ResourceName) []unit {
	switch name {
	case NameCPU, NameGPU:
		return []unit{{"", 1000}, {"m", 1}}
	case NameMemory, NameDisk:
		return []unit{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}
	case NameNetwork:
		return []unit{{"Gbps", Gbps}, {"Mbps", Mbps}, {"kbps", 1000}, {"bps", 1}}
	default:
		return nil
	}
}

// ParseQuantity reads an amount of one dimension: CPU and GPU as "4", "1.5"
// or "500m"; memory and disk as bytes or with B, KB to TB or KiB to TiB;
// network as bits per second or with bps, kbps, Mbps or Gbps; anything else
// as an integer. A decimal fraction of up to 18 decimals is read exactly: what
// is not a whole number of base units, is negative or does not fit an int64
// is an InvalidError.
func ParseQuantity(name ResourceName, text string) (int64, error) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, suffix := text[:end], text[end:]
	for _, u := range parseUnits(name) {
		if u.suffix != suffix {
			continue
		}
		amount, reason := scaleDecimal(number, u.size)
		if reason != "" {
			return 0, invalid(string(name), text, reason)
		}
		return amount, nil
	}
	return 0, invalid(string(name), text, "unknown unit")
}

// maxDecimals is how many decimals a quantity may have: 10^18 fits an int64.
const maxDecimals = 18

// scaleDecimal returns number × size, exactly, or why it cannot.
func scaleDecimal(number string, size int64) (amount int64, reason string) {
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || !isDigits(whole) || !isDigits(fraction) {
		return 0, "want a number"
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > maxDecimals {
		return 0, "more than 18 decimals"
	}
	units := parseDigits(whole)
	high, low := bits.Mul64(units, uint64(size))
	if units > math.MaxInt64 || high > 0 {
		return 0, "out of range"
	}
	divisor := uint64(1)
	for range fraction {
		divisor *= 10
	}
	// The fraction is below 1, so this is below size.
	partHigh, partLow := bits.Mul64(parseDigits(fraction), uint64(size))
	part, remainder := bits.Div64(partHigh, partLow, divisor)
	if remainder != 0 {
		return 0, "not a whole number of base units"
	}
	sum, carry := bits.Add64(low, part, 0)
	if carry > 0 || sum > math.MaxInt64 {
		return 0, "out of range"
	}
	return int64(sum), ""
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// parseDigits reads digits, none as 0 and too many as the largest number.
func parseDigits(digits string) uint64 {
	if digits == "" {
		return 0
	}
	n, _ := strconv.ParseUint(digits, 10, 64) // Out of range gives the largest.
	return n
}

// FormatQuantity writes an amount of one dimension in the largest unit that
// divides it (binary units for memory and disk). ParseQuantity reads it back
// unless it is negative.
func FormatQuantity(name ResourceName, amount int64) string {
	for _, u := range formatUnits(name) {
		if amount != 0 && amount%u.size == 0 {
			return strconv.FormatInt(amount/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(amount, 10)
}

// String writes r as "cpu=4 memory=8GiB", zeros left out, and "none" for the
// zero value. ParseResources reads it back.
func (r Resources) String() string {
	var b strings.Builder
	for name, amount := range r.All() {
		if amount == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(name) + "=" + FormatQuantity(name, amount))
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// ParseResources reads amounts as Resources.String writes them, separated by
// white space or commas: "cpu=1.5, memory=512MiB, licence=2". Empty text is the
// zero value, as "none" is. All mistakes are reported at once.
func ParseResources(text string) (Resources, error) {
	if strings.TrimSpace(text) == "none" {
		return Resources{}, nil
	}
	var (
		parsed Resources
		found  mistakes
		seen   = make(map[string]bool)
	)
	for _, field := range strings.FieldsFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == ',' }) {
		name, quantity, cut := strings.Cut(field, "=")
		switch {
		case !cut || name == string(NameInstances):
			found.add("resources", field, "want name=quantity")
			continue
		case seen[name]:
			found.add("resources", field, "given twice")
			continue
		}
		seen[name] = true
		amount, err := ParseQuantity(ResourceName(name), quantity)
		if err != nil {
			found.addPart(err)
			continue
		}
		parsed.set(ResourceName(name), amount)
	}
	found.addPart(parsed.Validate())
	if found.any() {
		return Resources{}, found.join()
	}
	return parsed.Clone(), nil
}
