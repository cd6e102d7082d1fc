package quota

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// Amounts is what one charge is for: resources, and the number of instances that
// use them. The zero value is nothing. Instances count against limits on
// placement.NameInstances; a charge for something else, such as a volume, has
// none.
type Amounts struct {
	// Resources in the units of package placement.
	Resources placement.Resources `json:"resources,omitzero"`
	// Instances is the number of instances.
	Instances int64 `json:"instances,omitempty"`
}

// Instance returns the amounts of one instance that uses r.
func Instance(r placement.Resources) Amounts {
	return Amounts{Resources: r, Instances: 1}
}

// Amount returns the amount of one dimension, zero if there is none.
func (a Amounts) Amount(name placement.ResourceName) int64 {
	if name == placement.NameInstances {
		return a.Instances
	}
	return a.Resources.Amount(name)
}

// All yields every dimension with its amount in a fixed order: instances, CPU,
// memory, disk, network and GPU, also when zero, then custom ones by name.
func (a Amounts) All() iter.Seq2[placement.ResourceName, int64] {
	return func(yield func(placement.ResourceName, int64) bool) {
		if yield(placement.NameInstances, a.Instances) {
			a.Resources.All()(yield)
		}
	}
}

// Equal reports whether every amount of a and other is the same.
func (a Amounts) Equal(other Amounts) bool {
	return a.Instances == other.Instances && a.Resources.Equal(other.Resources)
}

// Clone returns a copy that shares nothing with a.
func (a Amounts) Clone() Amounts {
	a.Resources.Custom = maps.Clone(a.Resources.Custom)
	return a
}

// String writes a as "cpu=4 memory=8GiB instances=1", zeros left out, and
// "none" for the zero value.
func (a Amounts) String() string {
	if a.Instances == 0 {
		return a.Resources.String()
	}
	instances := "instances=" + strconv.FormatInt(a.Instances, 10)
	if a.Resources.IsZero() {
		return instances
	}
	return a.Resources.String() + " " + instances
}

// Validate reports every negative amount and every malformed or reserved
// custom name as an InvalidError.
func (a Amounts) Validate() error {
	var errs []error
	for name, amount := range a.All() {
		if amount < 0 {
			errs = append(errs, invalid(string(name), strconv.FormatInt(amount, 10), "negative"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Resources.Custom)) {
		errs = append(errs, validateCustomName(placement.ResourceName(name)))
	}
	return errors.Join(errs...)
}

// validateCustomName holds names to the rules of package placement.
func validateCustomName(name placement.ResourceName) error {
	one := placement.Resources{Custom: map[string]int64{string(name): 1}}
	if fault, ok := errors.AsType[*placement.InvalidError](one.Validate()); ok {
		return invalid("custom", fault.Value, fault.Reason)
	}
	return nil
}
