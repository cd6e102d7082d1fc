package placement

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// unit is a suffix of a quantity and what one of it is in base units.
type unit struct {
	suffix string
	size   int64
}

// The tables list units from large to small; formatting takes the first that
// divides the amount.
func binaryUnits() []unit {
	return []unit{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}
}

func byteUnits() []unit {
	return append(binaryUnits(), unit{"TB", TB}, unit{"GB", GB}, unit{"MB", MB}, unit{"KB", KB}, unit{"B", 1}, unit{"", 1})
}

func bitrateUnits() []unit {
	return []unit{{"Gbps", Gbps}, {"Mbps", Mbps}, {"kbps", 1000}, {"bps", 1}, {"", 1}}
}

func milliUnits() []unit {
	return []unit{{"m", 1}, {"", 1000}}
}

func unitsOf(name ResourceName) []unit {
	switch name {
	case NameCPU, NameGPU:
		return milliUnits()
	case NameMemory, NameDisk:
		return byteUnits()
	case NameNetwork:
		return bitrateUnits()
	default:
		return []unit{{"", 1}}
	}
}

// ParseQuantity reads an amount of one dimension: CPU and GPU as "4", "1.5"
// or "500m"; memory and disk as bytes or with B, KB to TB or KiB to TiB;
// network as bits per second or with bps, kbps, Mbps or Gbps; anything else
// as an integer. A decimal fraction is read exactly: what is not a whole
// number of base units, is negative or does not fit an int64 is an
// InvalidError.
func ParseQuantity(name ResourceName, text string) (int64, error) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, suffix := text[:end], text[end:]
	for _, u := range unitsOf(name) {
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

// scaleDecimal returns number × size, exactly, or why it can not.
func scaleDecimal(number string, size int64) (amount int64, reason string) {
	whole, fraction, _ := strings.Cut(number, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 18 {
		return 0, "too many decimals"
	}
	digits := whole + fraction
	if digits == "" {
		digits = "0"
	}
	if number == "" || number == "." {
		return 0, "want a number"
	}
	mantissa, err := strconv.ParseUint(digits, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, "out of range"
	}
	if err != nil {
		return 0, "want a number"
	}
	divisor := uint64(1)
	for range fraction {
		divisor *= 10
	}
	high, low := bits.Mul64(mantissa, uint64(size))
	if high >= divisor {
		return 0, "out of range"
	}
	quotient, remainder := bits.Div64(high, low, divisor)
	if remainder != 0 {
		return 0, "not a whole number of base units"
	}
	if quotient > math.MaxInt64 {
		return 0, "out of range"
	}
	return int64(quotient), ""
}

// FormatQuantity writes an amount of one dimension in the largest unit that
// divides it (binary units for memory and disk); ParseQuantity reads it back.
func FormatQuantity(name ResourceName, amount int64) string {
	var units []unit
	switch name {
	case NameCPU, NameGPU:
		if amount%1000 == 0 {
			return strconv.FormatInt(amount/1000, 10)
		}
		return strconv.FormatInt(amount, 10) + "m"
	case NameMemory, NameDisk:
		units = binaryUnits()
	case NameNetwork:
		units = bitrateUnits()
	}
	for _, u := range units {
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
// spaces or commas: "cpu=1.5, memory=512MiB, licence=2". All mistakes are
// reported at once.
func ParseResources(text string) (Resources, error) {
	var (
		parsed Resources
		errs   []error
		seen   = make(map[string]bool)
	)
	if strings.TrimSpace(text) == "none" {
		return parsed, nil
	}
	for _, field := range strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' }) {
		name, quantity, found := strings.Cut(field, "=")
		if !found || name == string(NameInstances) {
			errs = append(errs, invalid("resources", field, "want name=quantity"))
			continue
		}
		if seen[name] {
			errs = append(errs, invalid("resources", field, "given twice"))
			continue
		}
		seen[name] = true
		amount, err := ParseQuantity(ResourceName(name), quantity)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		parsed = parsed.With(ResourceName(name), amount)
	}
	if err := errors.Join(append(errs, parsed.Validate())...); err != nil {
		return Resources{}, err
	}
	return parsed, nil
}
