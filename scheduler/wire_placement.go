package scheduler

import (
	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
)

// The fields of the types of package placement in a record; see FORMAT.md.

func resourcesFields(c *codec.Coder, r *placement.Resources) {
	codec.Int(c, 1, &r.CPU)
	codec.Int(c, 2, &r.Memory)
	codec.Int(c, 3, &r.Disk)
	codec.Int(c, 4, &r.Network)
	codec.Int(c, 5, &r.GPU)
	codec.Map(c, 6, &r.Custom, codec.Int[int64])
}

func amountsFields(c *codec.Coder, a *placement.Amounts) {
	codec.Message(c, 1, &a.Resources, resourcesFields)
	codec.Int(c, 2, &a.Instances)
}

func nodeFields(c *codec.Coder, n *placement.Node) {
	codec.Text(c, 1, &n.ID)
	codec.Text(c, 2, &n.Name)
	codec.Message(c, 3, &n.Capacity, resourcesFields)
	codec.Message(c, 4, &n.Reserved, resourcesFields)
	codec.Message(c, 5, &n.Devices, devicesFields)
	codec.Int(c, 6, &n.MaxInstances)
	codec.Map(c, 7, &n.Overcommit, ratioField)
	codec.Map(c, 8, &n.Labels, codec.Name[string])
	codec.List(c, 9, &n.Taints, taintFields)
	codec.List(c, 10, &n.ReservedPorts, portFields)
	codec.Message(c, 11, &n.DynamicPorts, portRangeFields)
}

func portFields(c *codec.Coder, p *placement.Port) {
	codec.Int(c, 1, &p.Number)
	codec.Int(c, 2, &p.Protocol)
}

func portRangeFields(c *codec.Coder, r *placement.PortRange) {
	codec.Int(c, 1, &r.First)
	codec.Int(c, 2, &r.Last)
}

func devicesFields(c *codec.Coder, d *placement.Devices) {
	codec.Int(c, 1, &d.Count)
	codec.Name(c, 2, &d.Model)
	codec.Ints(c, 3, &d.Broken)
}

func ratioField(c *codec.Coder, field int, q *placement.Ratio) {
	codec.Message(c, field, q, ratioFields)
}

func ratioFields(c *codec.Coder, q *placement.Ratio) {
	codec.Int(c, 1, &q.Numerator)
	codec.Int(c, 2, &q.Denominator)
}

func taintFields(c *codec.Coder, t *placement.Taint) {
	codec.Name(c, 1, &t.Key)
	codec.Name(c, 2, &t.Value)
	codec.Name(c, 3, &t.Effect)
}

func requestFields(c *codec.Coder, r *placement.Request) {
	codec.Text(c, 1, &r.ID)
	codec.Message(c, 2, &r.Resources, resourcesFields)
	rulesFields(c, r)
}

// rulesFields are the fields of a request but ID and Resources.
func rulesFields(c *codec.Coder, r *placement.Request) {
	codec.Name(c, 3, &r.Namespace)
	codec.Name(c, 4, &r.Group)
	codec.Map(c, 5, &r.Labels, codec.Name[string])
	codec.List(c, 6, &r.Ports, portFields)
	codec.Int(c, 7, &r.Priority)
	codec.Int(c, 8, &r.Duration)
	codec.Bool(c, 9, &r.Yield)
	codec.Message(c, 10, &r.Preferences, preferencesFields)
	codec.Int(c, 11, &r.DynamicPorts)
}

func preferencesFields(c *codec.Coder, p *placement.Preferences) {
	codec.Int(c, 1, &p.Strategy)
	codec.List(c, 2, &p.Required, constraintFields)
	codec.List(c, 3, &p.Preferred, preferenceFields)
	codec.List(c, 4, &p.Tolerations, tolerationFields)
	codec.List(c, 5, &p.Affinity, affinityFields)
	codec.List(c, 6, &p.Spread, spreadFields)
	codec.List(c, 7, &p.Scaled, scaledFields)
}

// constraintFields has the text form, which reads back as the same constraint.
func constraintFields(c *codec.Coder, k *placement.Constraint) {
	var text string
	if !c.Reading() && !k.IsZero() {
		text = k.String()
	}
	codec.Name(c, 1, &text)
	if !c.Reading() || text == "" {
		return
	}
	read, err := placement.ParseConstraint(text)
	if err == nil && read.String() != text {
		c.Fail("constraint " + text + " is written another way")
	} else if err != nil {
		c.Fail(err.Error())
	}
	*k = read
}

func preferenceFields(c *codec.Coder, p *placement.Preference) {
	codec.Message(c, 1, &p.Constraint, constraintFields)
	codec.Int(c, 2, &p.Weight)
}

func scaledFields(c *codec.Coder, l *placement.ScaledLabel) {
	codec.Name(c, 1, &l.Label)
	codec.Int(c, 2, &l.Weight)
}

func tolerationFields(c *codec.Coder, t *placement.Toleration) {
	codec.Name(c, 1, &t.Key)
	codec.Name(c, 2, &t.Value)
	codec.Bool(c, 3, &t.Exists)
	codec.Name(c, 4, &t.Effect)
	codec.Int(c, 5, &t.Seconds)
}

func affinityFields(c *codec.Coder, t *placement.AffinityTerm) {
	codec.Message(c, 1, &t.Selector, constraintFields)
	codec.Names(c, 2, &t.Namespaces)
	codec.Name(c, 3, &t.Topology)
	codec.Bool(c, 4, &t.Repel)
	codec.Int(c, 5, &t.Weight)
}

func spreadFields(c *codec.Coder, r *placement.SpreadRule) {
	codec.Name(c, 1, &r.Topology)
	codec.Message(c, 2, &r.Selector, constraintFields)
	codec.Int(c, 3, &r.MaxSkew)
	codec.Int(c, 4, &r.MinDomains)
	codec.Map(c, 5, &r.Targets, codec.Int[int])
	codec.Int(c, 6, &r.MaxPerDomain)
	codec.Int(c, 7, &r.Weight)
}
