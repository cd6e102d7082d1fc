package placement

import (
	"errors"
	"iter"
	"strconv"
)

// Amounts is an amount of resources and of instances: what a quota is charged
// and what a reservation holds. The zero value is nothing. Instances count
// against limits on NameInstances and against a node's MaxInstances; amounts of
// something else, such as a volume, have none.
type Amounts struct {
	// Resources in their units.
	Resources Resources `json:"resources,omitzero"`
	// Instances is the number of instances.
	Instances int64 `json:"instances,omitempty"`
}

// OneInstance returns the amounts of one instance that uses r.
func OneInstance(r Resources) Amounts {
	return Amounts{Resources: r, Instances: 1}
}

// Amount returns the amount of one dimension, zero if there is none.
func (a Amounts) Amount(name ResourceName) int64 {
	if name == NameInstances {
		return a.Instances
	}
	return a.Resources.Amount(name)
}

// All yields every dimension with its amount in a fixed order: instances, CPU,
// memory, disk, network and GPU, also when zero, then custom ones by name.
func (a Amounts) All() iter.Seq2[ResourceName, int64] {
	return func(yield func(ResourceName, int64) bool) {
		if yield(NameInstances, a.Instances) {
			a.Resources.All()(yield)
		}
	}
}

// Equal reports whether every amount of a and other is the same.
func (a Amounts) Equal(other Amounts) bool {
	return a.Instances == other.Instances && a.Resources.Equal(other.Resources)
}

// IsZero reports whether every amount is zero.
func (a Amounts) IsZero() bool { return a.Instances == 0 && a.Resources.IsZero() }

// Clone returns a copy that shares nothing with a.
func (a Amounts) Clone() Amounts {
	a.Resources = a.Resources.Clone()
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

// Validate reports a negative number of instances, and what
// Resources.Validate does.
func (a Amounts) Validate() error {
	err := a.Resources.Validate()
	if a.Instances < 0 {
		err = errors.Join(invalidAmount(string(NameInstances), a.Instances, "negative"), err)
	}
	return err
}
