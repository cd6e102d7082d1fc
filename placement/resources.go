package placement

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Units of Resources. They are untyped, so that 4*Core and 8*GiB are plain
// int64 amounts.
const (
	// Millicore is the unit of CPU.
	Millicore = 1
	// Core is one CPU core or hardware thread.
	Core = 1000 * Millicore

	// KiB is 1024 bytes.
	KiB = 1 << 10
	// MiB is 1024 KiB.
	MiB = 1 << 20
	// GiB is 1024 MiB.
	GiB = 1 << 30
	// TiB is 1024 GiB.
	TiB = 1 << 40

	// KB is 1000 bytes.
	KB = 1_000
	// MB is 1000 KB.
	MB = 1_000_000
	// GB is 1000 MB.
	GB = 1_000_000_000
	// TB is 1000 GB.
	TB = 1_000_000_000_000

	// Mbps is a million bits per second.
	Mbps = 1_000_000
	// Gbps is a thousand Mbps.
	Gbps = 1_000_000_000

	// MilliGPU is the unit of GPU, a thousandth of a device.
	MilliGPU = 1
	// Device is one whole GPU.
	Device = 1000 * MilliGPU
)

// ResourceName names a dimension of Resources.
type ResourceName string

// The names of the dimensions that every cluster knows. Any other valid name
// is a custom dimension.
const (
	NameCPU     ResourceName = "cpu"
	NameMemory  ResourceName = "memory"
	NameDisk    ResourceName = "disk"
	NameNetwork ResourceName = "network"
	NameGPU     ResourceName = "gpu"
	// NameInstances counts instances. It is reserved: nodes cap it with
	// MaxInstances and quotas limit it, but no amount of it is requested.
	NameInstances ResourceName = "instances"
)

// MaxDimensions is the largest number of dimensions in a cluster at a time: the
// five named ones and at most 32 custom ones.
const MaxDimensions = 37

const (
	namedDimensions = 5
	maxCustom       = MaxDimensions - namedDimensions
	maxNameLength   = 63
)

// Resources is an amount of everything that a node offers and an instance
// asks for. The zero value is nothing. Amounts are never negative; Validate
// says so. A Custom entry of zero means the same as none.
type Resources struct {
	// CPU in millicores.
	CPU int64
	// Memory in bytes.
	Memory int64
	// Disk in bytes.
	Disk int64
	// Network in bits per second.
	Network int64
	// GPU in thousandths of a device.
	GPU int64
	// Custom amounts by name, in whole units of their own.
	Custom map[string]int64
}

// Cores converts a number of cores to millicores, rounded to the nearest.
// NaN, infinities, negative numbers and what does not fit an int64 are errors.
func Cores(cores float64) (int64, error) {
	milli := math.Round(cores * Core)
	if math.IsNaN(milli) || cores < 0 || milli >= math.MaxInt64 {
		return 0, invalid("cpu", strconv.FormatFloat(cores, 'g', -1, 64), "want a finite number of cores, at least 0")
	}
	return int64(milli), nil
}

// Amount returns the amount of one dimension, zero if there is none.
func (r Resources) Amount(name ResourceName) int64 {
	switch name {
	case NameCPU:
		return r.CPU
	case NameMemory:
		return r.Memory
	case NameDisk:
		return r.Disk
	case NameNetwork:
		return r.Network
	case NameGPU:
		return r.GPU
	default:
		return r.Custom[string(name)]
	}
}

// With returns a copy of r in which one dimension has the given amount.
func (r Resources) With(name ResourceName, amount int64) Resources {
	switch name {
	case NameCPU, NameMemory, NameDisk, NameNetwork, NameGPU:
	default:
		r.Custom = maps.Clone(r.Custom)
		if amount == 0 {
			delete(r.Custom, string(name))
			return r
		}
	}
	r.set(name, amount)
	return r
}

// set writes one dimension in place.
func (r *Resources) set(name ResourceName, amount int64) {
	switch name {
	case NameCPU:
		r.CPU = amount
	case NameMemory:
		r.Memory = amount
	case NameDisk:
		r.Disk = amount
	case NameNetwork:
		r.Network = amount
	case NameGPU:
		r.GPU = amount
	default:
		if r.Custom == nil {
			r.Custom = make(map[string]int64, 1)
		}
		r.Custom[string(name)] = amount
	}
}

// All yields every dimension with its amount in a fixed order: CPU, memory,
// disk, network and GPU, also when zero, then custom ones by name.
func (r Resources) All() iter.Seq2[ResourceName, int64] {
	return func(yield func(ResourceName, int64) bool) {
		if !yield(NameCPU, r.CPU) || !yield(NameMemory, r.Memory) || !yield(NameDisk, r.Disk) ||
			!yield(NameNetwork, r.Network) || !yield(NameGPU, r.GPU) || len(r.Custom) == 0 {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
			if !yield(ResourceName(name), r.Custom[name]) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with r. Custom entries of zero are
// left out, and a Custom without entries is nil.
func (r Resources) Clone() Resources {
	if len(r.Custom) == 0 {
		r.Custom = nil
		return r
	}
	r.Custom = maps.Clone(r.Custom)
	return r.dropZeros()
}

// dropZeros removes zeros from r.Custom, in place.
func (r Resources) dropZeros() Resources {
	maps.DeleteFunc(r.Custom, func(_ string, amount int64) bool { return amount == 0 })
	if len(r.Custom) == 0 {
		r.Custom = nil
	}
	return r
}

// IsZero reports whether every amount is zero.
func (r Resources) IsZero() bool { return r.Equal(Resources{}) }

// Equal reports whether every amount of r and other is the same. It takes
// one look-up per custom dimension.
func (r Resources) Equal(other Resources) bool {
	if r.CPU != other.CPU || r.Memory != other.Memory || r.Disk != other.Disk ||
		r.Network != other.Network || r.GPU != other.GPU {
		return false
	}
	for name, amount := range r.Custom {
		if amount != other.Custom[name] {
			return false
		}
	}
	for name, amount := range other.Custom {
		if amount != r.Custom[name] {
			return false
		}
	}
	return true
}

// FitsIn reports whether every amount of r is at most that of free. Where
// free is negative nothing fits, not even zero. It takes one look-up per
// custom dimension.
func (r Resources) FitsIn(free Resources) bool {
	if r.CPU > free.CPU || r.Memory > free.Memory || r.Disk > free.Disk ||
		r.Network > free.Network || r.GPU > free.GPU {
		return false
	}
	for name, amount := range r.Custom {
		if amount > free.Custom[name] {
			return false
		}
	}
	for name, amount := range free.Custom {
		if amount < 0 && amount < r.Custom[name] {
			return false
		}
	}
	return true
}

// Add returns r + other. A sum that overflows is an InvalidError that names
// the dimension.
func (r Resources) Add(other Resources) (Resources, error) {
	return r.combine(other, "+", func(a, b int64) (int64, bool) {
		sum := a + b
		return sum, (sum < a) == (b < 0)
	})
}

// Sub returns r - other for amounts that are not negative. A difference below
// zero is an InvalidError that names the dimension.
func (r Resources) Sub(other Resources) (Resources, error) {
	return r.combine(other, "-", func(a, b int64) (int64, bool) {
		return a - b, b >= 0 && a >= b
	})
}

func (r Resources) combine(other Resources, sign string, op func(a, b int64) (int64, bool)) (Resources, error) {
	var found mistakes
	result := r.Clone()
	for name, amount := range other.All() {
		if amount == 0 {
			continue
		}
		left := r.Amount(name)
		value, ok := op(left, amount)
		if !ok {
			text := strconv.FormatInt(left, 10) + " " + sign + " " + strconv.FormatInt(amount, 10)
			found.add(string(name), text, "out of range")
			continue
		}
		result.set(name, value)
	}
	if found.any() {
		return Resources{}, found.join()
	}
	return result.dropZeros(), nil
}

// Validate reports every negative amount, every custom name that is reserved
// or malformed, and too many custom dimensions. A custom name has 1 to 63
// characters: letters, digits, '.', '_', '/', ':' and '-'; the names of the
// other dimensions are reserved, in capitals too.
func (r Resources) Validate() error {
	if r.valid() {
		return nil
	}
	var found mistakes
	for name, amount := range r.All() {
		if amount < 0 {
			found.addAmount(pathOf(name), amount, "negative")
		}
	}
	custom := int64(0)
	for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
		found.addPart(validateCustomName(name))
		if r.Custom[name] != 0 {
			custom++
		}
	}
	if custom > maxCustom {
		found.addAmount(customJSON, custom, "more than "+strconv.Itoa(maxCustom)+" custom dimensions")
	}
	return found.join()
}

// valid spares valid amounts the sorting that an orderly report needs.
func (r Resources) valid() bool {
	return r.CPU|r.Memory|r.Disk|r.Network|r.GPU >= 0 && (len(r.Custom) == 0 || validCustom(r.Custom))
}

func validCustom(amounts map[string]int64) bool {
	custom := 0
	for name, amount := range amounts {
		if amount < 0 || validateCustomName(name) != nil {
			return false
		}
		if amount != 0 {
			custom++
		}
	}
	return custom <= maxCustom
}

func validateCustomName(name string) error {
	for _, reserved := range []ResourceName{NameCPU, NameMemory, NameDisk, NameNetwork, NameGPU, NameInstances} {
		if strings.EqualFold(name, string(reserved)) {
			return invalid(customJSON, name, "the name is reserved")
		}
	}
	if name == "" || len(name) > maxNameLength {
		return invalid(customJSON, name, "want a name of 1 to 63 characters")
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return invalid(customJSON, name, "want letters, digits, '.', '_', '/', ':' and '-'")
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == '/' || c == ':' || c == '-'
}

// customJSON is the name under which JSON has the custom amounts.
const customJSON = "custom"

// MarshalJSON encodes r as one object of the amounts by name, in base units
// (millicores, bytes, bits per second, thousandths of a device), with custom ones in
// an object of their own and zeros left out:
// {"cpu":4000,"memory":8589934592,"custom":{"licence":1}}.
func (r Resources) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	custom := false
	for name, amount := range r.All() {
		if amount == 0 {
			continue
		}
		if out[len(out)-1] != '{' {
			out = append(out, ',')
		}
		if !custom && !isNamed(name) {
			custom = true
			out = append(out, `"`+customJSON+`":{`...)
		}
		key, err := json.Marshal(string(name))
		if err != nil {
			return nil, err
		}
		out = append(append(out, key...), ':')
		out = strconv.AppendInt(out, amount, 10)
	}
	if custom {
		out = append(out, '}')
	}
	return append(out, '}'), nil
}

// UnmarshalJSON decodes what MarshalJSON encodes and validates it. An amount may
// also be a text that ParseQuantity reads: {"cpu":"1.5","memory":"8GiB"}. A name that
// is no dimension is a mistake, since what was meant would be missing. All mistakes
// are reported at once. null changes nothing.
func (r *Resources) UnmarshalJSON(data []byte) error {
	var amounts map[string]json.RawMessage
	if err := json.Unmarshal(data, &amounts); err != nil || amounts == nil {
		return err
	}
	var (
		decoded Resources
		found   mistakes
	)
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		switch {
		case name == customJSON:
			found.addWithin(customJSON, decoded.decodeCustom(amounts[name]))
		case isNamed(ResourceName(name)):
			amount, err := decodeQuantity(ResourceName(name), amounts[name])
			found.addPart(err)
			decoded.set(ResourceName(name), amount)
		default:
			found.add(name, "", "no such dimension"+meant(name, dimensionNames())+"; custom ones stand under custom")
		}
	}
	found.addPart(decoded.Validate())
	if found.any() {
		return found.join()
	}
	*r = decoded.dropZeros()
	return nil
}

// decodeCustom reads the custom amounts.
func (r *Resources) decodeCustom(data []byte) error {
	var amounts map[string]json.RawMessage
	if err := json.Unmarshal(data, &amounts); err != nil {
		return invalid("", string(data), "want an object of amounts by name")
	}
	var found mistakes
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		amount, err := decodeQuantity(ResourceName(name), amounts[name])
		found.addPart(err)
		if r.Custom == nil {
			r.Custom = make(map[string]int64, len(amounts))
		}
		r.Custom[name] = amount
	}
	return found.join()
}

// decodeQuantity reads an amount in base units, or as text.
func decodeQuantity(name ResourceName, data []byte) (int64, error) {
	if data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return 0, err
		}
		return ParseQuantity(name, text)
	}
	var amount int64
	if err := json.Unmarshal(data, &amount); err != nil {
		return 0, invalid(string(name), string(data), "want an integer, or text with a unit")
	}
	return amount, nil
}

// dimensionNames returns the names of the dimensions that every cluster knows.
func dimensionNames() []string {
	return []string{string(NameCPU), string(NameMemory), string(NameDisk), string(NameNetwork), string(NameGPU)}
}

// pathOf returns where JSON has an amount.
func pathOf(name ResourceName) string {
	if isNamed(name) {
		return string(name)
	}
	return below(customJSON, string(name))
}

func isNamed(name ResourceName) bool { return slices.Contains(dimensionNames(), string(name)) }

// CompareNames orders dimensions as Resources.All yields them.
func CompareNames(a, b ResourceName) int {
	named := []ResourceName{NameCPU, NameMemory, NameDisk, NameNetwork, NameGPU}
	position := func(name ResourceName) int {
		if i := slices.Index(named, name); i >= 0 {
			return i
		}
		return len(named)
	}
	return cmp.Or(cmp.Compare(position(a), position(b)), cmp.Compare(a, b))
}
