package placement

import (
	"maps"
	"slices"
	"time"
	"unicode/utf8"
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

// EqualPorts reports whether both lists hold the same ports, in any order.
func EqualPorts(a, b []uint16) bool {
	return slices.Equal(a, b) || len(a) == len(b) &&
		slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// Clone returns a copy that shares no slice or map with r. Empty collections
// become nil, so that copies of equal requests are the same value but for the
// order of ports.
func (r Request) Clone() Request {
	r.Labels = cloneMap(r.Labels)
	r.Resources = r.Resources.Clone()
	r.Ports = cloneSlice(r.Ports)
	r.Preferences = r.Preferences.Clone()
	return r
}

// cloneMap copies a map; an empty one becomes nil.
func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// cloneSlice copies a slice; an empty one becomes nil.
func cloneSlice[T any](s []T) []T { return append([]T(nil), s...) }

// Validate reports every mistake in the request at once. It allocates nothing
// for a valid request of at most 16 ports.
func (r Request) Validate() error {
	var found mistakes
	if r.ID == "" {
		found.add("id", "", "empty")
	}
	found.checkText("id", r.ID)
	if r.Namespace == AllNamespaces {
		found.add("namespace", r.Namespace, "stands for all namespaces")
	}
	found.checkText("namespace", r.Namespace)
	found.checkText("group", r.Group)
	found.addWithin("labels", validateLabels(r.Labels))
	found.addWithin("resources", r.Resources.Validate())
	if gpu := r.Resources.GPU; gpu > Device && gpu%Device != 0 {
		found.addAmount("resources.gpu", gpu, "want whole devices or a fraction of one")
	}
	checkPorts(&found, r.Ports)
	if r.Duration < 0 {
		found.add("duration", r.Duration.String(), "negative")
	}
	found.addWithin("preferences", r.Preferences.Validate())
	return found.join()
}

// checkPorts compares few ports with each other, which is cheapest, and keeps
// a set of many.
func checkPorts(found *mistakes, ports []uint16) {
	const few = 16
	var seen map[uint16]bool
	if len(ports) > few {
		seen = make(map[uint16]bool, len(ports))
	}
	for i, port := range ports {
		switch {
		case port == 0:
			found.addAt("ports", i, invalid("", "0", "want 1 to 65535"))
		case seen[port] || seen == nil && slices.Contains(ports[:i], port):
			found.addAt("ports", i, invalidAmount("", int64(port), "given twice"))
		}
		if seen != nil {
			seen[port] = true
		}
	}
}

// validateLabels reports keys and values that can not be labels, in order.
func validateLabels(labels map[string]string) error {
	valid := true
	for key, value := range labels {
		valid = valid && key != "" && utf8.ValidString(key) && utf8.ValidString(value)
	}
	if valid {
		return nil
	}
	var found mistakes
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" {
			found.add("", labels[key], "empty key")
		}
		found.checkText("", key)
		found.checkText(key, labels[key])
	}
	return found.join()
}
