package placement

import (
	"maps"
	"slices"
	"time"
)

// Request asks for room for one instance. Its ID names the allocation that
// results and is unique in a scheduler.
//
// What it holds is bounded: IDs, names and keys have at most MaxIDBytes, values
// MaxValueBytes; there are at most MaxRules rules and MaxPorts ports; and its
// JSON has at most MaxEncodedBytes.
type Request struct {
	// ID of the instance, not empty.
	ID string `json:"id"`
	// Namespace that the instance belongs to and whose quota pays for it.
	Namespace string `json:"namespace,omitempty"`
	// Group of instances that spread rules and the Spread strategy count
	// together, within the namespace. Without one the strategy looks at load alone,
	// and every spread rule needs a selector.
	Group string `json:"group,omitempty"`
	// Labels of the instance, seen by the selectors of other instances.
	Labels map[string]string `json:"labels,omitempty"`
	// Resources that the instance uses. GPU is a multiple of Device or a
	// fraction of one.
	Resources Resources `json:"resources,omitzero"`
	// Ports that the instance claims on its node. Two instances with the same port
	// never share a node, and a port that a node reserves is not given. Ports are a
	// set: their order does not matter.
	Ports []Port `json:"ports,omitempty"`
	// DynamicPorts is how many further ports the instance gets, each of TCP and UDP
	// alike: the lowest numbers of its node's range that nobody has. The decision
	// says which.
	DynamicPorts int `json:"dynamicPorts,omitempty"`
	// Priority is the importance of the instance; greater is more important.
	Priority int32 `json:"priority,omitempty"`
	// Duration is how long the instance runs at most, as it promises; 0
	// promises nothing.
	Duration time.Duration `json:"duration,omitempty"`
	// Yield lets the instance run on capacity that is reserved from a later
	// time on. It is asked to leave when that time comes.
	Yield bool `json:"yield,omitempty"`
	// Preferences are the rules of its placement.
	Preferences Preferences `json:"preferences,omitzero"`
}

// Equal reports whether both requests are the same in every field; nil and
// empty collections are the same, and so are ports in another order.
func (r Request) Equal(other Request) bool {
	return r.ID == other.ID && r.Namespace == other.Namespace && r.Group == other.Group &&
		maps.Equal(r.Labels, other.Labels) && r.Resources.Equal(other.Resources) &&
		equalSets(r.Ports, other.Ports, Port.Compare) && r.DynamicPorts == other.DynamicPorts && r.Priority == other.Priority &&
		r.Duration == other.Duration && r.Yield == other.Yield && r.Preferences.Equal(other.Preferences)
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

// Validate reports every mistake in the request at once. It takes time in
// proportion to what the request holds, and allocates nothing for a valid one of
// at most 16 ports that is far below MaxEncodedBytes.
func (r Request) Validate() error {
	var (
		found mistakes
		size  extent
	)
	if r.ID == "" {
		found.add("id", "", "empty")
	}
	found.checkID("id", r.ID)
	if r.Namespace == AllNamespaces {
		found.add("namespace", r.Namespace, "stands for all namespaces")
	}
	found.checkID("namespace", r.Namespace)
	found.checkID("group", r.Group)
	found.addWithin("labels", validateLabels(r.Labels, &size))
	found.addWithin("resources", r.Resources.Validate())
	if gpu := r.Resources.GPU; gpu > Device && gpu%Device != 0 {
		found.addAmount("resources.gpu", gpu, "want whole devices or a fraction of one")
	}
	found.checkPorts("ports", r.Ports)
	if r.DynamicPorts < 0 || r.DynamicPorts > MaxPorts-min(len(r.Ports), MaxPorts) {
		found.addAmount("dynamicPorts", int64(r.DynamicPorts), "want 0 to 1024, with the other ports")
	}
	if r.Duration < 0 {
		found.add("duration", r.Duration.String(), "negative")
	}
	found.addWithin("preferences", r.Preferences.validateRules())
	found.checkCounted(&r)
	found.checkRequestSize(&r, size)
	return found.join()
}

// checkCounted reports spread rules that name nothing to count.
func (m *mistakes) checkCounted(r *Request) {
	if r.Group != "" || len(r.Preferences.Spread) > MaxRules {
		return
	}
	for i := range r.Preferences.Spread {
		if r.Preferences.Spread[i].Selector.IsZero() {
			m.add("preferences."+indexed("spread", i)+".selector", "", "nothing to count: want a selector here or a group of the request")
		}
	}
}

// validateLabels reports keys and values that cannot be labels, in order, and
// counts them.
func validateLabels(labels map[string]string, size *extent) error {
	valid := true
	size.list(len(labels))
	for key, value := range labels {
		size.text(key)
		size.text(value)
		valid = valid && key != "" && badText(key, MaxIDBytes) == "" && badText(value, MaxValueBytes) == ""
	}
	if valid {
		return nil
	}
	var found mistakes
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" {
			found.add("", labels[key], "empty key")
		}
		found.checkID("", key)
		found.checkValue(keyed("", key), labels[key])
	}
	return found.join()
}
