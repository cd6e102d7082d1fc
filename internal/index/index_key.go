package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// indexKey is something that an instance must have for a counter to cover it, by
// which the counters are found that may cover a class.
//
// Invariant: a counter of a selector stands in keyTable.lists under every
// one of its index keys, and whatever it covers has at least one of them.
type indexKey struct {
	kind       indexKeyKind
	namespace  string // placement.AllNamespaces for any
	key, value string
}

type indexKeyKind uint8

const (
	// byNamespace: nothing is known but the namespace.
	byNamespace indexKeyKind = iota
	// byKey: there is a label of the key, of whatever value.
	byKey
	// byLabel: there is this label.
	byLabel
	indexKeyKinds
)

// mostIndexKeys bounds under how many index keys a counter stands. One of more
// namespaces times labels stands under its labels in any namespace.
const mostIndexKeys = 256

// indexKeys returns the index keys of a target with a selector.
func (s selectorTarget) indexKeys() []indexKey {
	labels := labelKeys(s.selector)
	if labels == nil {
		labels = []indexKey{{kind: byNamespace}}
	}
	namespaces := s.namespaces
	if len(namespaces)*len(labels) > mostIndexKeys {
		namespaces = []string{placement.AllNamespaces}
	}
	all := make([]indexKey, 0, len(namespaces)*len(labels))
	for _, namespace := range namespaces {
		for _, a := range labels {
			a.namespace = namespace
			all = append(all, a)
		}
	}
	return all
}

// labelKeys returns index keys, without namespaces and each once, one of which
// everything that meets the constraint has. It returns nil if there are none:
// labels may be missing then.
func labelKeys(c placement.Constraint) []indexKey {
	switch c.Operator() {
	case 0, placement.OpNot:
		return nil
	case placement.OpAnd:
		var best []indexKey
		for _, operand := range c.Operands() {
			if keys := labelKeys(operand); narrower(keys, best) {
				best = keys
			}
		}
		return best
	case placement.OpOr:
		var all []indexKey
		for _, operand := range c.Operands() {
			keys := labelKeys(operand)
			if keys == nil {
				return nil
			}
			all = append(all, keys...)
		}
		return distinct(all)
	case placement.OpEqual, placement.OpIn:
		var all []indexKey
		for _, value := range c.Values() {
			all = append(all, indexKey{kind: byLabel, key: c.Key(), value: value})
		}
		return distinct(all)
	default:
		if c.MatchValue("", false) {
			return nil
		}
		return []indexKey{{kind: byKey, key: c.Key()}}
	}
}

// narrower reports whether fewer classes are likely to have one of the index keys a
// than one of b: labels are narrower than keys, and few than many.
func narrower(a, b []indexKey) bool {
	if a == nil || b == nil {
		return b == nil
	}
	keys := func(list []indexKey) bool {
		return slices.ContainsFunc(list, func(a indexKey) bool { return a.kind == byKey })
	}
	if keys(a) != keys(b) {
		return keys(b)
	}
	return len(a) < len(b)
}

func distinct(keys []indexKey) []indexKey {
	seen := make(map[indexKey]bool, len(keys))
	return slices.DeleteFunc(keys, func(a indexKey) bool {
		twice := seen[a]
		seen[a] = true
		return twice
	})
}

// keyTable finds counters by their index keys. A class is compared with those
// that stand under one of its labels or keys, or under its namespace because
// nothing is known of the labels, and with no others.
type keyTable struct {
	lists    map[indexKey][]*counter
	used     [indexKeyKinds][2]int // lists of a kind, in one and in all namespaces
	unkeyed  int                   // counters of which only the namespace is known
	compared uint64                // classes with counters
	round    uint64                // of looking up
}

func (t *keyTable) init() { t.lists = make(map[indexKey][]*counter) }

func (t *keyTable) add(k *counter) {
	for _, a := range k.keys {
		if len(t.lists[a]) == 0 {
			t.used[a.kind][a.breadth()]++
		}
		t.lists[a] = append(t.lists[a], k)
	}
	if k.keys[0].kind == byNamespace {
		t.unkeyed++
	}
}

func (t *keyTable) remove(k *counter) {
	for _, a := range k.keys {
		if t.lists[a] = without(t.lists[a], k); len(t.lists[a]) == 0 {
			delete(t.lists, a)
			t.used[a.kind][a.breadth()]--
		}
	}
	if k.keys[0].kind == byNamespace {
		t.unkeyed--
	}
}

// breadth is 1 for an index key in all namespaces.
func (a indexKey) breadth() int {
	if a.namespace == placement.AllNamespaces {
		return 1
	}
	return 0
}

// covering appends the counters that cover a class to found, each once.
func (t *keyTable) covering(found []*counter, c *Class) []*counter {
	t.round++
	for breadth, namespace := range [...]string{c.request.Namespace, placement.AllNamespaces} {
		compare := func(a indexKey) {
			if t.used[a.kind][breadth] == 0 {
				return
			}
			a.namespace = namespace
			for _, k := range t.lists[a] {
				if k.round == t.round {
					continue // met under another label
				}
				k.round = t.round
				t.compared++
				if k.of.covers(c) {
					found = append(found, k)
				}
			}
		}
		compare(indexKey{kind: byNamespace})
		for key, value := range c.request.Labels {
			compare(indexKey{kind: byKey, key: key})
			compare(indexKey{kind: byLabel, key: key, value: value})
		}
	}
	return found
}
