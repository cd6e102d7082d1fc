package quota

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// maxDimensions counts all dimensions of a cluster, and the instances.
const maxDimensions = placement.MaxDimensions + 1

// vector has an amount for each dimension by index.
type vector [maxDimensions]int64

// add adds amounts of the first dimensions.
func (v *vector) add(delta []int64) {
	for d, amount := range delta {
		v[d] += amount
	}
}

// grow adds amounts, and reports whether the sums fit an int64. After false v is
// useless.
func (v *vector) grow(by vector) bool {
	for d, amount := range by {
		if amount > math.MaxInt64-v[d] {
			return false
		}
		v[d] += amount
	}
	return true
}

// dimensionSet is a set of dimensions by index.
type dimensionSet uint64

func (s dimensionSet) has(d int) bool { return s&(1<<d) != 0 }

// namedDimensions have the first indices, in this order; custom dimensions get
// the others as they appear.
func namedDimensions() []placement.ResourceName {
	return []placement.ResourceName{
		placement.NameInstances, placement.NameCPU, placement.NameMemory,
		placement.NameDisk, placement.NameNetwork, placement.NameGPU,
	}
}

const firstCustom = 6

// compareNames orders dimensions as placement.Amounts.All yields them: instances first.
func compareNames(a, b placement.ResourceName) int {
	position := func(name placement.ResourceName) int {
		if name == placement.NameInstances {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(position(a), position(b)), placement.CompareNames(a, b))
}

// dimension returns the index of a valid name. A new custom name takes a free index,
// or that of one which is neither used nor limited any more and not in taken.
// Indices depend on what was asked before; they show in no result.
func (a *Accounts) dimension(name placement.ResourceName, taken dimensionSet) (int, error) {
	if d := slices.Index(a.names, name); d >= 0 {
		return d, nil
	}
	if len(a.names) < maxDimensions {
		a.names = append(a.names, name)
		return len(a.names) - 1, nil
	}
	for d := firstCustom; d < maxDimensions; d++ {
		if !taken.has(d) && a.users[d] == 0 {
			a.names[d] = name
			clear(a.sets)
			return d, nil
		}
	}
	return 0, invalid("custom", string(name), "there are "+strconv.Itoa(maxDimensions-firstCustom)+" other custom dimensions")
}

// burstingIn returns what a verdict says of a burst in a set of dimensions: their
// names in order. It allocates only for a set that it sees for the first time.
func (a *Accounts) burstingIn(set dimensionSet) *detail {
	if known, ok := a.sets[set]; ok {
		return known
	}
	var names []placement.ResourceName
	for d, name := range a.names {
		if set.has(d) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareNames)
	a.sets[set] = &detail{bursting: names}
	return a.sets[set]
}

// countCharged adds n for each custom dimension in which acc is charged.
func (a *Accounts) countCharged(acc *account, n int) {
	for d := firstCustom; d < len(a.names); d++ {
		if acc.own[d] > 0 {
			a.users[d] += n
		}
	}
}

// countLimited adds n for each custom dimension that the limits of a spec bound.
func (a *Accounts) countLimited(l *limits, n int) {
	for d := firstCustom; d < len(a.names); d++ {
		if l.soft[d] < math.MaxInt64 {
			a.users[d] += n
		}
	}
}

// tally adds amounts, times a sign of 1 or -1, to v. After an error v is
// useless. It comes after find, which makes a ready.
func (a *Accounts) tally(v *vector, amounts *placement.Amounts, sign int64) error {
	r := &amounts.Resources
	if amounts.Instances|r.CPU|r.Memory|r.Disk|r.Network|r.GPU < 0 {
		return amounts.Validate()
	}
	v[0] += sign * amounts.Instances
	v[1] += sign * r.CPU
	v[2] += sign * r.Memory
	v[3] += sign * r.Disk
	v[4] += sign * r.Network
	v[5] += sign * r.GPU
	if len(r.Custom) == 0 {
		return nil
	}
	return a.tallyCustom(v, amounts, sign)
}

func (a *Accounts) tallyCustom(v *vector, amounts *placement.Amounts, sign int64) error {
	if err := amounts.Validate(); err != nil {
		return err
	}
	var taken dimensionSet
	for _, name := range slices.Sorted(maps.Keys(amounts.Resources.Custom)) {
		amount := amounts.Resources.Custom[name]
		if amount == 0 {
			continue
		}
		d, err := a.dimension(placement.ResourceName(name), taken)
		if err != nil {
			return err
		}
		taken |= 1 << d
		v[d] += sign * amount
	}
	return nil
}

// step adds the growth from one amount to another to v.
func (a *Accounts) step(v *vector, from, to *placement.Amounts) error {
	return errors.Join(a.tally(v, from, -1), a.tally(v, to, 1))
}
