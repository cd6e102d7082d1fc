package placement

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Request asks for room for one instance. Its ID names the allocation that
// results and is unique in a scheduler.
type Request struct {
	// ID of the instance, not empty.
	ID string `json:"id"`
	// Namespace that the instance belongs to and whose quota pays for it.
	Namespace string `json:"namespace,omitempty"`
	// Group of instances that spread rules and the Spread strategy count
	// together, within the namespace.
	Group string `json:"group,omitempty"`
	// Labels of the instance, seen by the selectors of other instances.
	Labels map[string]string `json:"labels,omitempty"`
	// Resources that the instance uses. GPU is a multiple of Device or a
	// fraction of one.
	Resources Resources `json:"resources,omitzero"`
	// Ports that the instance claims: two instances with the same port never
	// share a node. They are a set; order does not matter.
	Ports []uint16 `json:"ports,omitempty"`
	// Priority orders instances by importance, greater is more important.
	Priority int32 `json:"priority,omitempty"`
	// Duration after which the instance promises to be gone; 0 promises
	// nothing.
	Duration time.Duration `json:"duration,omitempty"`
	// Yield lets the instance stand on capacity that is promised to somebody
	// else from a later time on; it is then told to leave.
	Yield bool `json:"yield,omitempty"`
	// Preferences are the rules of its placement.
	Preferences Preferences `json:"preferences,omitzero"`
}

// Equal reports whether both requests are the same in every field; nil and
// empty collections are the same, and so are ports in another order.
func (r Request) Equal(other Request) bool {
	return r.ID == other.ID && r.Namespace == other.Namespace && r.Group == other.Group &&
		maps.Equal(r.Labels, other.Labels) && r.Resources.Equal(other.Resources) &&
		EqualPorts(r.Ports, other.Ports) && r.Priority == other.Priority &&
		r.Duration == other.Duration && r.Yield == other.Yield && r.Preferences.Equal(other.Preferences)
}

// EqualPorts reports whether two valid lists hold the same ports, in any
// order.
func EqualPorts(a, b []uint16) bool {
	if len(a) != len(b) {
		return false
	}
	for _, port := range a {
		if !slices.Contains(b, port) {
			return false
		}
	}
	return true
}

// Clone returns a copy that shares no slice or map with r.
func (r Request) Clone() Request {
	r.Labels = cloneMap(r.Labels)
	r.Resources = r.Resources.Clone()
	r.Ports = slices.Clone(r.Ports)
	r.Preferences = r.Preferences.Clone()
	return r
}

// cloneMap copies a map; an empty one becomes nil, so that copies compare
// equal whatever they were made from.
func cloneMap[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// Validate reports every mistake in the request at once.
func (r Request) Validate() error {
	errs := []error{
		within("resources", r.Resources.Validate()),
		within("labels", validateLabels(r.Labels)),
		within("preferences", r.Preferences.Validate()),
	}
	if r.ID == "" {
		errs = append(errs, invalid("id", "", "empty"))
	}
	if err := validateGPU(r.Resources.GPU); err != nil {
		errs = append(errs, within("resources", err))
	}
	if r.Duration < 0 {
		errs = append(errs, invalid("duration", r.Duration.String(), "negative"))
	}
	for i, port := range r.Ports {
		if port == 0 {
			errs = append(errs, invalid(indexed("ports", i), "0", "want 1 to 65535"))
		}
		if slices.Contains(r.Ports[:i], port) {
			errs = append(errs, invalid(indexed("ports", i), strconv.Itoa(int(port)), "given twice"))
		}
	}
	return errors.Join(errs...)
}

func validateGPU(amount int64) error {
	if amount > Device && amount%Device != 0 {
		return invalidAmount(string(NameGPU), amount, "want whole devices or a fraction of one")
	}
	return nil
}

func validateLabels(labels map[string]string) error {
	if _, ok := labels[""]; ok {
		return invalid("", labels[""], "empty key")
	}
	return nil
}
