package index

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// checkBest compares the pick and its score. It asks for nothing else, so that the next
// search may go on from this one.
func (w *world) checkBest(t require.TestingT, q *Query, r *placement.Request) (Choice, bool) {
	want := w.m.best(w.x, q, r)
	got, ok := w.x.Best(q)
	require.Equal(t, want != nil, ok, "feasible")
	if !ok {
		return got, false
	}
	require.Equal(t, want.spec.ID, w.x.nodes[got.Row].spec.ID, "pick of %v", r)
	terms, _ := w.m.terms(r, want, nil)
	require.Equal(t, terms, got.Terms)
	return got, true
}

// check compares all answers about one request.
func (w *world) check(t require.TestingT, r placement.Request, held Hold) {
	q := w.query(&r)
	w.checkBest(t, q, &r)
	fit, refused := w.m.ranked(&r)
	require.Equal(t, refused, w.x.Count(q), "counts of %v", r)
	require.Equal(t, refused, w.x.Count(q), "remembered counts")
	if r.Preferences.Strategy != placement.Random {
		top := w.x.Top(q, 3)
		require.Len(t, top, min(3, len(fit)))
		for i, choice := range top {
			require.Equal(t, fit[i].row, choice.Row)
		}
	}
	w.checkSurvey(t, q, &r)
	for _, n := range w.m.nodes {
		w.checkNode(t, q, &r, n, held)
	}
}

// checkSurvey counts failures node by node, one node left out.
func (w *world) checkSurvey(t require.TestingT, q *Query, r *placement.Request) {
	var without []Row
	first, failed := map[placement.Reason]int{}, map[placement.Reason]int{}
	lacks := map[placement.Reason]Lack{}
	inFirst := map[placement.Reason]bool{}
	examples := map[placement.Reason]Row{}
	cordoned, tainted := Row(-1), Row(-1)
	fit := 0
	var nearest *modelNode
	var fewest []Failure
	for i, n := range w.m.nodes {
		failures := w.m.failures(r, n, nil)
		if i == w.queries%7 {
			without = append(without, n.row)
			failures = nil
		}
		if len(failures) == 0 {
			fit++
			continue
		}
		first[failures[0].Reason]++
		if first[failures[0].Reason] == 1 {
			examples[failures[0].Reason] = n.row
		}
		if len(failures) == 1 && failures[0].Reason.Detail == "cordoned" && cordoned < 0 {
			cordoned = n.row
		}
		if failures[len(failures)-1].Reason.Kind == placement.ReasonTaint && failures[0].Reason.Kind == placement.ReasonTaint && tainted < 0 {
			tainted = n.row
		}
		for j, f := range failures {
			failed[f.Reason]++
			if f.Reason.Name == "" {
				continue
			}
			known, ok := lacks[f.Reason]
			if !ok || j == 0 && !inFirst[f.Reason] || (j == 0) == inFirst[f.Reason] && f.Shortfall < known.Shortfall {
				lacks[f.Reason] = Lack{f.Reason, n.row, f.Shortfall}
			}
			inFirst[f.Reason] = inFirst[f.Reason] || j == 0
		}
		if nearest == nil || len(failures) < len(fewest) ||
			len(failures) == len(fewest) && largest(r, failures).compare(largest(r, fewest)) < 0 {
			nearest, fewest = n, failures
		}
	}
	s := w.x.Survey(q, without)
	require.Equal(t, fit, s.Fit)
	counts := func(of map[placement.Reason]int) []ReasonCount {
		var list []ReasonCount
		for reason, n := range of {
			list = append(list, ReasonCount{reason, n})
		}
		slices.SortFunc(list, func(a, b ReasonCount) int { return placement.CompareReasons(a.Reason, b.Reason) })
		return list
	}
	require.Equal(t, counts(first), s.First)
	require.Equal(t, counts(failed), s.Failed)
	require.Len(t, s.Examples, len(s.First))
	for i, c := range s.First {
		require.Equal(t, examples[c.Reason], s.Examples[i])
	}
	require.Equal(t, cordoned, s.Cordoned)
	require.Equal(t, tainted, s.Tainted)
	require.Len(t, s.Lacks, len(lacks))
	for _, l := range s.Lacks {
		require.Equal(t, lacks[l.Reason], l)
	}
	if nearest != nil {
		require.Equal(t, nearest.row, s.Nearest)
	}
	for i, n := range w.m.nodes {
		w.checkWithout(t, &s, r, n, i)
	}
}

// checkWithout leaves every second, every third or all of the instances on a node
// out of account that are counted.
func (w *world) checkWithout(t require.TestingT, s *Survey, r *placement.Request, n *modelNode, i int) {
	instances := n.instances
	defer func() { n.instances = instances }()
	n.instances = nil
	var gone []Absent
	for j, instance := range instances {
		if instance.counts && (i+j)%(1+i%3) == 0 {
			gone = append(gone, w.absent(instance))
			continue
		}
		n.instances = append(n.instances, instance)
	}
	require.Equal(t, len(w.m.failures(r, n, nil)) == 0, w.x.FitsWithout(s, n.row, gone), "%v without %d on %v", r, len(gone), n.spec)
}

// largest returns the largest shortfall in relation to what is asked.
func largest(r *placement.Request, failures []Failure) fraction {
	var largest fraction
	for _, f := range failures {
		if f.Reason.Name != "" {
			if missing := (fraction{f.Shortfall, max(1, r.Resources.Amount(f.Reason.Name))}); missing.compare(largest) > 0 {
				largest = missing
			}
		}
	}
	return largest
}

func (w *world) checkNode(t require.TestingT, q *Query, r *placement.Request, n *modelNode, held Hold) {
	failures := w.m.failures(r, n, nil)
	found := w.x.Diagnose(q, n.row)
	require.Equal(t, failures, found.Failures, "diagnosis of %v on %v", r, n.spec)
	require.Equal(t, len(failures) == 0, w.x.Fits(q, n.row))
	terms, parts := w.m.terms(r, n, nil)
	require.Equal(t, terms, found.Terms)
	require.Equal(t, parts, found.Parts)
	if r.Preferences.Strategy == placement.Spread {
		require.Equal(t, w.m.group(r, n), found.Group)
		require.Equal(t, found.Group, w.x.Group(q, n.row))
	}
	if len(failures) == 0 {
		w.checkDevices(t, r, n, w.x.Devices(q, n.row, nil), &n.held)
		require.Equal(t, n.dynamicPorts(r), w.x.DynamicPorts(q, n.row))
		if r.Preferences.Strategy == placement.LeastFragmentation {
			require.Equal(t, w.m.gradient(r, n), found.Gradient)
		}
	}
	got, ok := w.x.Evaluate(q, n.row, nil)
	require.Equal(t, len(failures) == 0, ok)
	require.Equal(t, terms, got)
	got, ok = w.x.Evaluate(q, n.row, &held)
	require.Equal(t, len(w.m.failures(r, n, &held)) == 0, ok)
	want, _ := w.m.terms(r, n, &held)
	require.Equal(t, want, got)
	if ok {
		w.checkDevices(t, r, n, w.x.Devices(q, n.row, &held), &held)
	}
}

// checkDevices holds the index to the rule of package placement.
func (w *world) checkDevices(t require.TestingT, r *placement.Request, n *modelNode, got []uint16, held *Hold) {
	chosen, ok := placement.ChooseDevices(n.deviceLeft(held), r.Resources.GPU, r.Preferences.Strategy)
	require.True(t, ok)
	var want []uint16
	for _, device := range chosen {
		want = append(want, uint16(device))
	}
	require.Equal(t, want, got)
}

// checkBooks compares what the index says of each node.
func (w *world) checkBooks(t require.TestingT) {
	for _, n := range w.m.nodes {
		require.Equal(t, int64(len(n.instances)), w.x.Instances(n.row))
		free, used, held := w.x.Free(n.row), w.x.Used(n.row), w.x.Held(n.row)
		for name := range w.m.dimensions {
			require.Equal(t, n.free(name, &n.held), free.Amount(name), name)
			want := int64(0)
			for _, instance := range n.instances {
				want += instance.request.Resources.Amount(name)
			}
			require.Equal(t, want, used.Amount(name), name)
		}
		require.True(t, held.Resources.Equal(n.held.Resources))
		require.Equal(t, n.held.Instances, held.Instances)
		require.Equal(t, len(n.deviceLeft(nil)), len(w.x.DeviceFree(n.row)))
		for i, left := range n.deviceLeft(nil) {
			require.Equal(t, left, w.x.DeviceFree(n.row)[i])
			require.Equal(t, n.deviceUsed(i), w.x.DeviceUsed(n.row)[i])
		}
	}
	scale := placement.Scale{Weights: w.m.cfg.Weights}
	for _, n := range w.m.nodes {
		scale = scale.With(n.spec.Allocatable())
	}
	require.Equal(t, scale, w.x.Scale())
	for d := range w.x.dims {
		users := int32(0)
		for _, n := range w.m.nodes {
			users += n.users(w.x.dims[d].name)
		}
		if name := w.x.dims[d].name; name != "" && named(name) < 0 {
			require.Equal(t, users, w.x.dims[d].users, name)
		}
		if w.x.dims[d].name == "" {
			require.Equal(t, make([]int64, len(w.x.nodes)), w.x.free[d])
		}
	}
}

// rebuilt returns an index made from scratch out of what the model holds.
func (w *world) rebuilt() (*Index, map[Row]Row) {
	x := New(w.m.cfg)
	x.SetWorkload(w.m.mix)
	rows := map[Row]Row{}
	for _, n := range slices.Backward(w.m.nodes) {
		spec := n.spec
		row := x.Add(&spec, n.join)
		rows[n.row] = row
		x.SetState(row, n.state)
		x.SetHeld(row, n.held)
		for _, instance := range n.instances {
			c := x.Class(&instance.request)
			x.Retain(c)
			x.Occupy(row, c, &instance.request.Resources, instance.Taken)
			if instance.counts {
				x.enters(row, c, instance)
			}
		}
	}
	return x, rows
}

// checkRebuilt compares answers, columns and counts with a rebuild.
func (w *world) checkRebuilt(t require.TestingT, r placement.Request) {
	x, rows := w.rebuilt()
	q := w.query(&r)
	again := &Query{Class: x.Class(&r), Resources: q.Resources, ID: q.ID, Seq: q.Seq}
	got, ok := w.x.Best(q)
	w.checkBest(t, q, &r)
	other, found := x.Best(again)
	require.Equal(t, ok, found)
	if ok {
		require.Equal(t, rows[got.Row], other.Row)
		require.Equal(t, got.Terms, other.Terms)
	}
	require.Equal(t, w.x.Count(q), x.Count(again))
	for was, is := range rows {
		require.Equal(t, x.key[is], w.x.key[was])
		require.Equal(t, x.most[is], w.x.most[was])
		require.Equal(t, x.whole[is], w.x.whole[was])
		require.Equal(t, x.full.has(is), w.x.full.has(was))
		require.Equal(t, x.nodes[is].dynamicFree, w.x.nodes[was].dynamicFree)
	}
	w.checkInvariants(t)
}

// checkInvariants compares every derived structure with what it derives from.
func (w *world) checkInvariants(t require.TestingT) {
	x := w.x
	require.Equal(t, len(w.m.nodes), x.present.count())
	for i, n := range w.m.nodes {
		require.Equal(t, n.row, x.byJoin[i])
		require.Equal(t, w.m.key(n), x.key[n.row])
	}
	for row := range x.nodes {
		require.Equal(t, x.pack(Row(row)), x.packed[row])
		require.True(t, x.present.has(Row(row)) || x.key[row] == 0)
	}
	w.checkGrids(t)
	w.checkBars(t)
	w.checkGradients(t)
	for i, set := range x.sets.built {
		require.False(t, slices.Contains(x.sets.built[:i], set))
		x.current(set)
		n := 0
		for row := range x.nodes {
			in := x.belongs(set, Row(row))
			require.Equal(t, in, set.bits.has(Row(row)))
			if in {
				n++
			}
		}
		require.Equal(t, n, set.n)
		w.checkScale(t, set)
	}
	for _, topology := range x.topologies {
		for _, k := range topology.users {
			w.checkCounter(t, k)
		}
	}
	for row, classes := range x.running {
		for i, class := range classes {
			c := x.stateOf(class)
			require.Positive(t, c.on(Row(row)))
			require.NotContains(t, classes[:i], class)
		}
	}
	x.classes.list()
	require.Len(t, x.classes.alive, x.classes.live())
	for c := range x.classes.alive {
		for _, counts := range []sparseCounts{c.places, c.leaving} {
			for row, count := range counts.each {
				require.Positive(t, count)
				require.Contains(t, x.running[row], c.Class)
			}
		}
	}
	unused := 0
	for c := x.classes.idle.older; c != &x.classes.idle; c = c.older {
		unused++
		require.Zero(t, c.refs)
	}
	require.Equal(t, unused, x.classes.unused)
}

// checkScale reads the numbers of a scaled label again.
func (w *world) checkScale(t require.TestingT, set *nodeSet) {
	values := map[int64]bool{}
	for row := range w.x.nodes {
		if set.kind == scaled {
			require.Equal(t, scaledOf(w.x.nodes[row].spec, set.label), set.scale.rows[row])
		}
		if value := set.value(Row(row)); value > 0 {
			values[value] = true
		}
	}
	if set.kind == scaled {
		require.ElementsMatch(t, slices.Collect(maps.Keys(values)), slices.Collect(set.values))
	}
}

// checkGradients computes F of every class that a node is of.
func (w *world) checkGradients(t require.TestingT) {
	f := w.x.readyFragmentation()
	for _, n := range w.m.nodes {
		class := f.classes.all[w.x.classOf(n.row)]
		require.Equal(t, w.m.fragments(n, n.deviceLeft(&n.held), placement.Resources{}), class.lost)
	}
}

// places yields the number of every part and cell of a grid.
func (g *grid) places(yield func(part, cell int32) bool) {
	for part := range g.parts {
		for number := range g.parts[part].cells {
			if !yield(int32(part), int32(number)) {
				return
			}
		}
	}
}

// refresh brings the sets of an order up to date.
func (x *Index) refresh(o *ordering) {
	if o.set != nil {
		x.current(o.set)
	}
	for _, term := range o.terms {
		x.current(term.set)
	}
}

// checkGrids holds every grid against a new one and its own invariant.
func (w *world) checkGrids(t require.TestingT) {
	for _, o := range w.x.orders {
		if o.grid == nil || o.abandoned() {
			continue
		}
		w.x.refresh(o)
		w.x.upToDate(o)
		g, entries := o.grid, 0
		for part, number := range g.places {
			c := &g.parts[part].cells[number]
			low := int64(noKey)
			var last gridEntry
			for b := range c.blocks {
				at := &g.blocks[c.blocks[b].number]
				require.Equal(t, [2]int32{part, number}, [2]int32{at.part, at.cell})
				require.NotEmpty(t, at.entries)
				require.LessOrEqual(t, len(at.entries), w.x.thresholds.gridBlock)
				require.Equal(t, topOf(at.entries), c.blocks[b].top)
				for i, e := range at.entries {
					entries++
					require.True(t, w.x.present.has(e.row) && o.has(e.row))
					require.Equal(t, c.blocks[b].number+1, g.at[e.row])
					require.Equal(t, w.x.orderKey(o, e.row), e.key)
					require.Equal(t, w.x.partOf(o, e.row), part)
					require.Equal(t, w.x.packed[e.row], e.packed)
					require.Equal(t, c.corner, corner(e.packed))
					require.Zero(t, misses(c.corner, e.packed))
					if b > 0 || i > 0 {
						require.Negative(t, w.x.compareEntry(&last, e.key, w.x.nodes[e.row].join))
					} else {
						low = e.key
					}
					last = e
				}
			}
			require.Equal(t, low, c.low)
			known, ok := g.parts[part].known[c.corner]
			require.Equal(t, len(c.blocks) > 0, ok && known == number)
		}
		require.Equal(t, g.n, entries)
		if o.set == nil {
			require.Equal(t, len(w.m.nodes), entries)
		} else {
			require.Equal(t, o.set.n, entries)
		}
	}
}

func (w *world) checkCounter(t require.TestingT, k *counter) {
	counts := map[int32]int32{}
	all := int64(0)
	for _, n := range w.m.nodes {
		for _, instance := range n.instances {
			if !instance.counts || instance.leaves && !k.of.countsLeaving() || !k.countsInstance(&instance.request) {
				continue
			}
			all++
			if domain := k.topology.of(n.row); domain != noDomain {
				counts[domain]++
			}
		}
	}
	require.Equal(t, all, k.all)
	nonzero := 0
	for domain, count := range k.domains.each {
		nonzero++
		require.Equal(t, counts[domain], count)
	}
	require.Len(t, counts, nonzero)
	require.Equal(t, nonzero, k.domains.nonzero)
}

func (k *counter) countsInstance(r *placement.Request) bool {
	c := &Class{request: *r}
	if k.of.kind != ofHolders {
		return k.of.covers(c)
	}
	return slices.ContainsFunc(r.Preferences.Affinity, func(term placement.AffinityTerm) bool {
		return term.Repel && term.Required() && term.Topology == k.topology.key && string(new(ruleWriter).counter(c.affinityTarget(term, ofHolders), term.Topology)) == k.rules
	})
}
