package index

import (
	"encoding/binary"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// ruleWriter writes rules in a form that is the same if and only if the rules
// are: interned things are found by it in ordinary maps. Those are seeded afresh
// in every process, so that nobody can choose rules that collide. Its fields
// are scratch, so that writing allocates nothing.
//
// A field that is forgotten here makes requests with different rules share a
// class: TestEveryRuleMakesAClass changes each field of a request in turn.
type ruleWriter struct {
	b     []byte
	keys  []string
	ports []placement.Port
}

// request writes everything of a request but its ID and amounts. Labels and
// ports are sets: their order does not matter.
func (w *ruleWriter) request(r *placement.Request) []byte {
	w.b = w.b[:0]
	w.text(r.Namespace)
	w.text(r.Group)
	w.number(int64(r.Preferences.Strategy))
	bare := isBare(r)
	w.flag(bare)
	if bare {
		return w.b
	}
	w.number(int64(len(r.Labels)))
	for _, key := range sortedKeys(w, r.Labels) {
		w.text(key)
		w.text(r.Labels[key])
	}
	w.ports = append(w.ports[:0], r.Ports...)
	slices.SortFunc(w.ports, placement.Port.Compare)
	w.number(int64(len(w.ports)))
	for _, port := range w.ports {
		w.number(int64(port.Number))
		w.number(int64(port.Protocol))
	}
	w.number(int64(r.DynamicPorts))
	w.number(int64(r.Priority))
	w.number(int64(r.Duration))
	w.flag(r.Yield)
	w.preferences(&r.Preferences)
	return w.b
}

// isBare reports whether a request has no rules beside its namespace, group and
// strategy, as most do.
func isBare(r *placement.Request) bool {
	p := &r.Preferences
	listed := len(r.Labels) + len(r.Ports) + len(p.Required) + len(p.Preferred) + len(p.Scaled) +
		len(p.Tolerations) + len(p.Affinity) + len(p.Spread)
	return listed == 0 && r.DynamicPorts == 0 && r.Priority == 0 && r.Duration == 0 && !r.Yield
}

// nodeSet writes what a set of nodes is defined by.
func (w *ruleWriter) nodeSet(of *setRules) []byte {
	w.b = append(w.b[:0], byte(of.kind))
	w.constraints(of.required)
	w.tolerations(of.tolerations)
	w.text(of.label)
	return w.b
}

// counter writes what a counter counts, and by which domains.
func (w *ruleWriter) counter(s selectorTarget, topologyKey string) []byte {
	w.b = append(w.b[:0], byte(s.kind))
	w.number(int64(len(s.namespaces)))
	for _, namespace := range s.namespaces {
		w.text(namespace)
	}
	w.text(s.group)
	w.constraint(&s.selector)
	w.text(topologyKey)
	return w.b
}

func (w *ruleWriter) preferences(p *placement.Preferences) {
	w.constraints(p.Required)
	w.number(int64(len(p.Preferred)))
	for i := range p.Preferred {
		w.constraint(&p.Preferred[i].Constraint)
		w.number(int64(p.Preferred[i].Weight))
	}
	w.number(int64(len(p.Scaled)))
	for i := range p.Scaled {
		w.text(p.Scaled[i].Label)
		w.number(int64(p.Scaled[i].Weight))
	}
	w.tolerations(p.Tolerations)
	w.number(int64(len(p.Affinity)))
	for i := range p.Affinity {
		w.affinity(&p.Affinity[i])
	}
	w.number(int64(len(p.Spread)))
	for i := range p.Spread {
		w.spread(&p.Spread[i])
	}
}

func (w *ruleWriter) affinity(term *placement.AffinityTerm) {
	w.constraint(&term.Selector)
	w.number(int64(len(term.Namespaces)))
	for _, namespace := range term.Namespaces {
		w.text(namespace)
	}
	w.text(term.Topology)
	w.flag(term.Repel)
	w.number(int64(term.Weight))
}

func (w *ruleWriter) spread(rule *placement.SpreadRule) {
	w.text(rule.Topology)
	w.constraint(&rule.Selector)
	w.number(int64(rule.MaxSkew))
	w.number(int64(rule.MinDomains))
	w.number(int64(len(rule.Targets)))
	for _, domain := range sortedKeys(w, rule.Targets) {
		w.text(domain)
		w.number(int64(rule.Targets[domain]))
	}
	w.number(int64(rule.MaxPerDomain))
	w.number(int64(rule.Weight))
}

func (w *ruleWriter) tolerations(tolerations []placement.Toleration) {
	w.number(int64(len(tolerations)))
	for i := range tolerations {
		t := &tolerations[i]
		w.text(t.Key)
		w.text(t.Value)
		w.flag(t.Exists)
		w.text(string(t.Effect))
		w.number(t.Seconds)
	}
}

func (w *ruleWriter) constraints(constraints []placement.Constraint) {
	w.number(int64(len(constraints)))
	for i := range constraints {
		w.constraint(&constraints[i])
	}
}

// constraint writes a constraint's text, in which control characters are
// quoted, up to one.
func (w *ruleWriter) constraint(c *placement.Constraint) {
	w.b, _ = c.AppendText(w.b)
	w.b = append(w.b, 0)
}

func (w *ruleWriter) text(s string) {
	w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...)
}

func (w *ruleWriter) number(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *ruleWriter) flag(on bool) {
	if on {
		w.b = append(w.b, 1)
		return
	}
	w.b = append(w.b, 0)
}

// sortedKeys returns the keys of a map in ascending order, as scratch of w.
func sortedKeys[V any](w *ruleWriter, m map[string]V) []string {
	w.keys = w.keys[:0]
	for key := range m {
		w.keys = append(w.keys, key)
	}
	slices.Sort(w.keys)
	return w.keys
}
