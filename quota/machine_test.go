package quota_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// model says what a ledger should, from a list of specs and a list of charges
// alone: every sum is computed anew, without regard to size or speed.
type model struct {
	required bool
	specs    map[string]quota.Spec
	charges  map[chargeKey]placement.Amounts
	since    map[sinceKey]time.Time
	reported map[sinceKey]bool // bursts whose end has been reported
	now      time.Time
}

type chargeKey struct{ ns, id string }

type sinceKey struct {
	ns   string
	name placement.ResourceName
}

func modelNames() []placement.ResourceName {
	return []placement.ResourceName{placement.NameInstances, placement.NameCPU, placement.NameMemory, "x", "y"}
}

func (m *model) fallback() (quota.Spec, bool) {
	for _, spec := range m.specs {
		if spec.Default {
			return spec, true
		}
	}
	return quota.Spec{}, false
}

// spec is the one in force for a namespace, declared or not.
func (m *model) spec(ns string) quota.Spec {
	if spec, ok := m.specs[ns]; ok {
		return spec
	}
	spec, _ := m.fallback()
	return spec
}

func (m *model) path(ns string) []string {
	path := []string{ns}
	for parent := m.spec(ns).Parent; parent != ""; parent = m.spec(parent).Parent {
		path = append(path, parent)
	}
	return path
}

func (m *model) sum(ns string, name placement.ResourceName) *big.Int {
	sum := new(big.Int)
	for key, amounts := range m.charges {
		if slices.Contains(m.path(key.ns), ns) {
			sum.Add(sum, big.NewInt(amounts.Amount(name)))
		}
	}
	return sum
}

// countable reports whether every sum fits an int64.
func (m *model) countable() bool {
	for _, ns := range m.namespaces() {
		for _, name := range modelNames() {
			if !m.sum(ns, name).IsInt64() {
				return false
			}
		}
	}
	return true
}

func (m *model) usage(ns string, name placement.ResourceName) quota.Usage {
	row := quota.Usage{Namespace: ns, Resource: name, Used: m.sum(ns, name).Int64(), Soft: math.MaxInt64, Ceiling: math.MaxInt64}
	limit, limited := m.spec(ns).Limits[name]
	if limited {
		row.Soft, row.Ceiling = limit.Soft, limit.Soft*int64(max(limit.BurstPercent, 100))/100
	}
	row.Since = m.since[sinceKey{ns, name}]
	if !row.Since.IsZero() && limit.BurstFor > 0 && row.Ceiling > row.Soft {
		row.BurstEnd = row.Since.Add(limit.BurstFor)
		row.Expired = !m.now.Before(row.BurstEnd)
	}
	return row
}

func (m *model) usages(ns string) []quota.Usage {
	var rows []quota.Usage
	for _, name := range modelNames() {
		if row := m.usage(ns, name); row.Used > 0 || row.Soft < math.MaxInt64 {
			rows = append(rows, row)
		}
	}
	return rows
}

// namespaces are those with a spec or a charge.
func (m *model) namespaces() []string {
	names := map[string]bool{}
	for ns := range m.specs {
		names[ns] = true
	}
	for key := range m.charges {
		names[key.ns] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (m *model) over(namespaces []string) []quota.Usage {
	slices.Sort(namespaces)
	var rows []quota.Usage
	for _, ns := range slices.Compact(namespaces) {
		for _, row := range m.usages(ns) {
			if row.Used > row.Ceiling || row.Expired {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// updateBursts starts and stops bursts after a change. One that has more time goes on.
func (m *model) updateBursts() {
	before, reported := m.since, m.reported
	m.since, m.reported = map[sinceKey]time.Time{}, map[sinceKey]bool{}
	for _, ns := range m.namespaces() {
		for _, name := range modelNames() {
			if row := m.usage(ns, name); row.Used > row.Soft {
				key := sinceKey{ns, name}
				m.since[key] = cmp.Or(before[key], m.now)
				m.reported[key] = reported[key] && m.usage(ns, name).Expired
			}
		}
	}
}

// verdict is what a change of one charge in ns gets.
func (m *model) verdict(ns string, from, to placement.Amounts) (violations []quota.Violation, bursting []placement.ResourceName) {
	_, declared := m.specs[ns]
	_, fallback := m.fallback()
	grows := func(name placement.ResourceName) bool { return to.Amount(name) > from.Amount(name) }
	if m.required && !declared && !fallback && slices.ContainsFunc(modelNames(), grows) {
		return []quota.Violation{{Namespace: ns, Reason: quota.Undeclared}}, nil
	}
	for _, name := range modelNames() {
		growth, bursts := to.Amount(name)-from.Amount(name), false
		for _, level := range m.path(ns) {
			row := m.usage(level, name)
			after := new(big.Int).Add(big.NewInt(row.Used), big.NewInt(growth))
			above := func(limit int64) bool { return after.Cmp(big.NewInt(limit)) > 0 }
			v := quota.Violation{
				Namespace: level, Resource: name, Requested: growth,
				Used: row.Used, Soft: row.Soft, Ceiling: row.Ceiling, Reason: quota.Hard,
			}
			limit := row.Ceiling
			switch {
			case growth <= 0 || !row.Expired && !above(row.Ceiling):
				bursts = bursts || to.Amount(name) > 0 && row.Ceiling > row.Soft && above(row.Soft)
				continue
			case to.Amount(name) > row.Ceiling:
				v.Reason = quota.NeverFits
			case row.Expired:
				v.Reason, v.BurstEnd, limit = quota.BurstExpired, row.BurstEnd, row.Soft
			}
			v.Shortfall = math.MaxInt64
			if missing := after.Sub(after, big.NewInt(limit)); missing.IsInt64() {
				v.Shortfall = missing.Int64()
			}
			violations = append(violations, v)
		}
		if bursts {
			bursting = append(bursting, name)
		}
	}
	if len(violations) > 0 {
		bursting = nil
	}
	slices.SortStableFunc(violations, func(a, b quota.Violation) int {
		return cmp.Compare(slices.Index(modelNames(), a.Resource), slices.Index(modelNames(), b.Resource))
	})
	return violations, bursting
}

// admits says with which error a spec is refused, if at all.
func (m *model) admits(spec quota.Spec) error {
	_, parentExists := m.specs[spec.Parent]
	fallback, exists := m.fallback()
	switch {
	case spec.Parent != "" && spec.Parent == spec.Namespace:
		return quota.ErrInvalid
	case spec.Parent != "" && !parentExists:
		return quota.ErrNotFound
	case spec.Parent != "" && slices.Contains(m.path(spec.Parent), spec.Namespace):
		return quota.ErrInvalid
	case spec.Default && exists && fallback.Namespace != spec.Namespace:
		return quota.ErrInvalid
	}
	next := model{specs: maps.Clone(m.specs), charges: m.charges}
	next.specs[spec.Namespace] = spec
	for ns := range next.specs {
		if len(next.path(ns)) > quota.MaxLevels {
			return quota.ErrInvalid
		}
	}
	if !next.countable() {
		return quota.ErrInvalid
	}
	return nil
}

func (m *model) declare(spec quota.Spec) []quota.Usage {
	concerned := []string{}
	if spec.Default || m.specs[spec.Namespace].Default {
		for key := range m.charges {
			if _, declared := m.specs[key.ns]; !declared && key.ns != spec.Namespace {
				concerned = append(concerned, key.ns)
			}
		}
	}
	m.specs[spec.Namespace] = spec
	m.updateBursts()
	return m.over(append(concerned, m.path(spec.Namespace)...))
}

func (m *model) inUse(ns string) bool {
	for key := range m.charges {
		_, declared := m.specs[key.ns]
		if key.ns == ns || m.specs[ns].Default && !declared {
			return true
		}
	}
	for _, spec := range m.specs {
		if spec.Parent == ns {
			return true
		}
	}
	return false
}

// machine drives a ledger and the model with the same calls.
type machine struct {
	model
	ledger *quota.Ledger
	// loose is set once something other than a charge may have put usage above
	// a ceiling: an import, or a change of specs under charges.
	loose bool
	// levels is the greatest number of namespaces that one charge was for.
	levels int
}

// modelNamespaces are one more than there may be levels.
func modelNamespaces() []string {
	return []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
}

func drawNamespace(t *rapid.T) string {
	return rapid.SampledFrom(modelNamespaces()).Draw(t, "namespace")
}

func drawAmounts(t *rapid.T) placement.Amounts {
	amount := func(label string) int64 {
		if rapid.IntRange(0, 40).Draw(t, label+" is huge") == 0 {
			return rapid.Int64Range(math.MaxInt64/3, math.MaxInt64).Draw(t, label)
		}
		return rapid.Int64Range(0, 6).Draw(t, label)
	}
	amounts := placement.Amounts{
		Resources: placement.Resources{CPU: amount("cpu"), Memory: amount("memory")},
		Instances: rapid.Int64Range(0, 2).Draw(t, "instances"),
	}
	for _, name := range []placement.ResourceName{"x", "y"} {
		if rapid.Bool().Draw(t, "has "+string(name)) {
			amounts.Resources = amounts.Resources.With(name, amount(string(name)))
		}
	}
	return amounts
}

func drawSpec(t *rapid.T) quota.Spec {
	spec := quota.Spec{
		Namespace: drawNamespace(t),
		Parent:    rapid.SampledFrom(append([]string{"", ""}, modelNamespaces()...)).Draw(t, "parent"),
		Default:   rapid.IntRange(0, 4).Draw(t, "default") == 0,
		Limits:    limits{},
	}
	for _, name := range modelNames() {
		if !rapid.Bool().Draw(t, "limits "+string(name)) {
			continue
		}
		limit := quota.Limit{
			Soft:         rapid.Int64Range(0, 15).Draw(t, "soft"),
			BurstPercent: rapid.SampledFrom([]int{0, 100, 150, 200}).Draw(t, "burst"),
		}
		if limit.BurstPercent > 0 {
			limit.BurstFor = rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(t, "for")
		}
		spec.Limits[name] = limit
	}
	return spec
}

// drawCharge prefers a charge that exists.
func (m *machine) drawCharge(t *rapid.T) chargeKey {
	keys := slices.SortedFunc(maps.Keys(m.charges), func(a, b chargeKey) int {
		return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.id, b.id))
	})
	if len(keys) > 0 && rapid.IntRange(0, 9).Draw(t, "exists") > 0 {
		return rapid.SampledFrom(keys).Draw(t, "charge")
	}
	return chargeKey{drawNamespace(t), rapid.StringMatching("[a-h]").Draw(t, "id")}
}

// requireVerdict compares a verdict with that of the model.
func requireVerdict(t *rapid.T, violations []quota.Violation, bursting []placement.ResourceName, got quota.Verdict) {
	require.Equal(t, violations, got.Violations)
	require.Equal(t, bursting, got.Bursting())
}

// follow compares what a call that charges key has answered with the model, and
// charges it there if it was admitted.
func (m *machine) follow(t *rapid.T, key chargeKey, amounts placement.Amounts, verdict quota.Verdict, err error) {
	m.levels = max(m.levels, len(m.path(key.ns)))
	violations, bursting := m.verdict(key.ns, m.charges[key], amounts)
	requireVerdict(t, violations, bursting, verdict)
	if len(violations) > 0 {
		require.ErrorIs(t, err, quota.ErrExceeded)
		return
	}
	require.NoError(t, err)
	m.charges[key] = amounts
	m.updateBursts()
}

func (m *machine) charge(t *rapid.T) { m.chargeIn(t, drawNamespace(t)) }

func (m *machine) chargeIn(t *rapid.T, ns string) {
	key := chargeKey{ns, rapid.StringMatching("[a-h]").Draw(t, "id")}
	amounts := drawAmounts(t)
	before, exists := m.charges[key]
	checked, err := m.ledger.Check(key.ns, amounts)
	require.NoError(t, err)
	verdict, err := m.ledger.Charge(key.ns, key.id, amounts)
	require.True(t, exists || reflect.DeepEqual(checked, verdict), "Check returns the verdict of Charge beforehand")
	if exists && !before.Equal(amounts) {
		require.ErrorIs(t, err, quota.ErrConflict)
		return
	}
	m.follow(t, key, amounts, verdict, err)
}

func (m *machine) check(t *rapid.T) {
	ns, amounts := drawNamespace(t), drawAmounts(t)
	verdict, err := m.ledger.Check(ns, amounts)
	require.NoError(t, err)
	violations, bursting := m.verdict(ns, placement.Amounts{}, amounts)
	requireVerdict(t, violations, bursting, verdict)
}

func (m *machine) release(t *rapid.T) {
	key := m.drawCharge(t)
	before, exists := m.charges[key]
	amounts, err := m.ledger.Release(key.ns, key.id)
	if !exists {
		require.ErrorIs(t, err, quota.ErrNotCharged)
		return
	}
	require.NoError(t, err)
	require.True(t, amounts.Equal(before))
	delete(m.charges, key)
	m.updateBursts()
}

func (m *machine) resize(t *rapid.T) {
	key, amounts := m.drawCharge(t), drawAmounts(t)
	verdict, err := m.ledger.Resize(key.ns, key.id, amounts)
	if _, exists := m.charges[key]; !exists {
		require.ErrorIs(t, err, quota.ErrNotCharged)
		return
	}
	m.follow(t, key, amounts, verdict, err)
}

func (m *machine) load(t *rapid.T) {
	var charges []quota.Charge
	var concerned []string
	var fault error // of the first charge that has one
	next := model{specs: m.specs, charges: maps.Clone(m.charges)}
	for range rapid.IntRange(0, 4).Draw(t, "charges") {
		c := quota.Charge{Namespace: drawNamespace(t), ID: rapid.StringMatching("[a-h]").Draw(t, "id"), Amounts: drawAmounts(t)}
		charges = append(charges, c)
		key := chargeKey{c.Namespace, c.ID}
		before, exists := next.charges[key]
		next.charges[key] = c.Amounts
		switch {
		case fault != nil:
		case exists && !before.Equal(c.Amounts):
			fault = quota.ErrConflict
		case !next.countable():
			fault = quota.ErrExceeded
		}
		concerned = append(concerned, m.path(c.Namespace)...)
	}
	before := m.ledger.Snapshot()
	over, err := m.ledger.Import(slices.Values(charges))
	if fault != nil {
		require.ErrorIs(t, err, fault)
		require.Equal(t, before, m.ledger.Snapshot())
		return
	}
	require.NoError(t, err)
	m.charges = next.charges
	m.loose = true
	m.updateBursts()
	require.Equal(t, m.over(concerned), over)
}

func (m *machine) create(t *rapid.T) { m.createSpec(t, drawSpec(t)) }

// createChain creates namespaces each of which is the parent of the next, and
// charges the last.
func (m *machine) createChain(t *rapid.T, length int) {
	parent := ""
	for _, ns := range modelNamespaces()[:length] {
		spec := drawSpec(t)
		spec.Namespace, spec.Parent, spec.Default = ns, parent, false
		if rapid.IntRange(0, 2).Draw(t, "is limited") > 0 {
			spec.Limits = nil // or nothing would fit at so many levels
		}
		m.createSpec(t, spec)
		parent = ns
	}
	if length > 0 {
		m.chargeIn(t, parent)
	}
}

func (m *machine) createSpec(t *rapid.T, spec quota.Spec) {
	over, err := m.ledger.Create(spec)
	before, exists := m.specs[spec.Namespace]
	switch {
	case exists && before.Equal(spec):
		require.NoError(t, err)
		require.Empty(t, over)
	case exists && spec.Parent != spec.Namespace:
		require.ErrorIs(t, err, quota.ErrConflict)
	default:
		m.declared(t, spec, m.admits(spec), over, err)
	}
}

func (m *machine) update(t *rapid.T) {
	spec := drawSpec(t)
	over, err := m.ledger.Update(spec)
	fault := m.admits(spec)
	if _, exists := m.specs[spec.Namespace]; !exists && spec.Parent != spec.Namespace {
		fault = quota.ErrNotFound
	}
	m.declared(t, spec, fault, over, err)
}

func (m *machine) declared(t *rapid.T, spec quota.Spec, fault error, over []quota.Usage, err error) {
	if fault != nil {
		require.ErrorIs(t, err, fault)
		return
	}
	require.NoError(t, err)
	m.loose = m.loose || len(m.charges) > 0
	require.Equal(t, m.declare(spec), over)
}

func (m *machine) delete(t *rapid.T) {
	ns := drawNamespace(t)
	err := m.ledger.Delete(ns)
	switch _, exists := m.specs[ns]; {
	case !exists:
		require.ErrorIs(t, err, quota.ErrNotFound)
	case m.inUse(ns):
		require.ErrorIs(t, err, quota.ErrInUse)
	default:
		require.NoError(t, err)
		delete(m.specs, ns)
		m.updateBursts()
	}
}

// ended returns the bursts that have ended and that were not reported, and reports
// them.
func (m *model) ended() []quota.Usage {
	var rows []quota.Usage
	for _, ns := range m.namespaces() {
		for _, row := range m.usages(ns) {
			if key := (sinceKey{ns, row.Resource}); row.Expired && !m.reported[key] {
				m.reported[key] = true
				rows = append(rows, row)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b quota.Usage) int { return a.BurstEnd.Compare(b.BurstEnd) })
	return rows
}

func (m *machine) sweep(t *rapid.T) { require.Equal(t, m.ended(), m.ledger.Sweep()) }

func (m *machine) pass(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "milliseconds")) * time.Millisecond)
}

// restore goes on with another ledger, made from a snapshot.
func (m *machine) restore(t *rapid.T) {
	data, err := json.Marshal(m.ledger.Snapshot())
	require.NoError(t, err)
	var snapshot quota.Snapshot
	require.NoError(t, json.Unmarshal(data, &snapshot))
	m.ledger = m.newLedger(t)
	require.NoError(t, m.ledger.Restore(snapshot))
	m.reported = map[sinceKey]bool{}
}

func (m *machine) newLedger(t require.TestingT) *quota.Ledger {
	ledger, err := quota.New(quota.Config{Now: func() time.Time { return m.now }, RequireQuota: m.required})
	require.NoError(t, err)
	return ledger
}

// agree compares all that the ledger says with the model.
func (m *machine) agree(t *rapid.T) {
	require.NoError(t, m.ledger.Verify())
	require.Equal(t, m.namespaces(), slices.Sorted(m.ledger.Namespaces()))
	var deadline time.Time
	for _, ns := range append(m.namespaces(), "nobody") {
		require.Equal(t, m.usages(ns), m.ledger.Usage(ns))
		require.True(t, m.loose || !slices.ContainsFunc(m.ledger.Usage(ns), func(u quota.Usage) bool { return u.Used > u.Ceiling }))
		for _, row := range m.usages(ns) {
			if reported := m.reported[sinceKey{ns, row.Resource}]; !row.BurstEnd.IsZero() && !reported && (deadline.IsZero() || row.BurstEnd.Before(deadline)) {
				deadline = row.BurstEnd
			}
		}
	}
	next, ok := m.ledger.NextDeadline()
	require.Equal(t, deadline, next)
	require.Equal(t, !deadline.IsZero(), ok)
	count := 0
	for c := range m.ledger.Charges() {
		require.True(t, c.Amounts.Equal(m.charges[chargeKey{c.Namespace, c.ID}]))
		count++
	}
	require.Len(t, m.charges, count)
	for spec := range m.ledger.Specs() {
		require.True(t, spec.Equal(m.specs[spec.Namespace]))
	}
}

// runMachine returns the machine after some calls.
func runMachine(t *rapid.T) *machine {
	m := &machine{model: model{
		required: rapid.Bool().Draw(t, "required"),
		specs:    map[string]quota.Spec{},
		charges:  map[chargeKey]placement.Amounts{},
		now:      newClock().Now(),
	}}
	m.ledger = m.newLedger(t)
	m.createChain(t, rapid.SampledFrom([]int{0, 3, quota.MaxLevels, quota.MaxLevels}).Draw(t, "chain"))
	t.Repeat(map[string]func(*rapid.T){
		"charge":  m.charge,
		"again":   m.charge, // twice as often as the others
		"check":   m.check,
		"release": m.release,
		"resize":  m.resize,
		"import":  m.load,
		"create":  m.create,
		"update":  m.update,
		"delete":  m.delete,
		"pass":    m.pass,
		"sweep":   m.sweep,
		"restore": m.restore,
		"":        m.agree,
	})
	return m
}

// TestLedgerAgreesWithTheModel: after any calls usage is the sum of the charges at
// every level, and every answer is that of the model. Some of the trees are as
// deep as a tree may be.
func TestLedgerAgreesWithTheModel(t *testing.T) {
	levels := 0
	rapid.Check(t, func(t *rapid.T) { levels = max(levels, runMachine(t).levels) })
	require.Equal(t, quota.MaxLevels, levels)
}

func FuzzMachine(f *testing.F) { f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { runMachine(t) })) }
