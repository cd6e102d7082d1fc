package quota_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func TestZeroValue(t *testing.T) {
	var l quota.Ledger
	require.NoError(t, l.Verify())
	require.Zero(t, l.Version())
	require.Empty(t, l.Usage("ns"))
	require.ErrorIs(t, l.Delete("ns"), quota.ErrNotFound)
	_, err := l.Release("ns", "a")
	require.ErrorIs(t, err, quota.ErrNotCharged)
	_, err = l.Charge("ns", "a", placement.OneInstance(placement.Resources{Custom: map[string]int64{"x": 2}}))
	require.NoError(t, err)
	require.EqualValues(t, 2, used(&l, "ns", "x"))
	_, err = l.Release("ns", "a")
	require.NoError(t, err)
	require.Empty(t, slices.Collect(l.Namespaces()), "a namespace without spec and charges is forgotten")
}

func TestSameIDInOtherNamespace(t *testing.T) {
	l := organisation(t, cpuLimit(10*core), nil, nil)
	_, err := l.Charge("a", "x", milli(1))
	require.NoError(t, err)
	_, err = l.Charge("b", "x", milli(2))
	require.NoError(t, err)
	_, err = l.Release("a/web", "x")
	require.ErrorIs(t, err, quota.ErrNotCharged)
	amounts, err := l.Release("b", "x")
	require.NoError(t, err)
	require.Equal(t, milli(2), amounts)
	require.EqualValues(t, 1, used(l, "org", placement.NameCPU))
}

func TestSpecsAreCopies(t *testing.T) {
	own := cpuLimit(core)
	l, _ := newLedger(t, own)
	own[placement.NameCPU] = quota.Limit{Soft: 99}
	spec, ok := l.Spec("ns")
	require.True(t, ok)
	require.EqualValues(t, core, spec.Limits[placement.NameCPU].Soft)
	spec.Limits[placement.NameCPU] = quota.Limit{Soft: 99}
	for spec := range l.Specs() {
		require.EqualValues(t, core, spec.Limits[placement.NameCPU].Soft)
	}

	custom := map[string]int64{"x": 1}
	charge(t, l, "a", placement.OneInstance(placement.Resources{Custom: custom}))
	custom["x"] = 99
	held, _ := l.Charged("ns", "a")
	held.Resources.Custom["x"] = 99
	for c := range l.Charges() {
		c.Amounts.Resources.Custom["x"] = 99
	}
	for _, c := range l.Snapshot().Charges {
		c.Amounts.Resources.Custom["x"] = 99
	}
	var restored quota.Ledger
	snapshot := l.Snapshot()
	require.NoError(t, restored.Restore(snapshot))
	snapshot.Charges[0].Amounts.Resources.Custom["x"] = 99
	for _, l := range []*quota.Ledger{l, &restored} {
		amounts, err := l.Release("ns", "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, amounts.Resources.Custom["x"])
	}

	charge(t, l, "b", milli(1))
	custom["x"] = 1
	_, err := l.Resize("ns", "b", placement.OneInstance(placement.Resources{Custom: custom}))
	require.NoError(t, err)
	custom["x"] = 99
	held, _ = l.Charged("ns", "b")
	require.EqualValues(t, 1, held.Resources.Custom["x"])
}

func TestBadInput(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(core))
	before := l.Snapshot()
	only := func(_ any, err error) error { return err }
	tests := []struct {
		name string
		call func() error
		want error
	}{
		{"empty id", func() error { return only(l.Charge("ns", "", milli(1))) }, quota.ErrInvalid},
		{"empty namespace", func() error { return only(l.Charge("", "x", milli(1))) }, quota.ErrInvalid},
		{"id that is not UTF-8", func() error { return only(l.Charge("ns", "\xff", milli(1))) }, quota.ErrInvalid},
		{"namespace that is not UTF-8", func() error { return only(l.Charge("\xff", "x", milli(1))) }, quota.ErrInvalid},
		{"check of an empty namespace", func() error { return only(l.Check("", milli(1))) }, quota.ErrInvalid},
		{"release of an empty id", func() error { return only(l.Release("ns", "")) }, quota.ErrInvalid},
		{"resize of an empty id", func() error { return only(l.Resize("ns", "", milli(1))) }, quota.ErrInvalid},
		{"negative resize", func() error { return only(l.Resize("ns", "a", milli(-1))) }, quota.ErrInvalid},
		{"negative repetition", func() error { return only(l.Charge("ns", "a", milli(-1))) }, quota.ErrInvalid},
		{"resize of nothing", func() error { return only(l.Resize("ns", "x", milli(1))) }, quota.ErrNotCharged},
		{"import of an empty id", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns"}})))
		}, quota.ErrInvalid},
		{"import of a negative amount", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns", ID: "c", Amounts: milli(-1)}})))
		}, quota.ErrInvalid},
		{"import beyond counting", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns", ID: "c", Amounts: milli(math.MaxInt64)}})))
		}, quota.ErrExceeded},
		{"update of an unknown namespace", func() error { return only(l.Update(quota.Spec{Namespace: "x"})) }, quota.ErrNotFound},
		{"unknown parent", func() error { return only(l.Update(quota.Spec{Namespace: "ns", Parent: "x"})) }, quota.ErrNotFound},
		{"spec without a namespace", func() error { return only(l.Create(quota.Spec{})) }, quota.ErrInvalid},
		{"limit on a bad name", func() error {
			return only(l.Create(quota.Spec{Namespace: "x", Limits: limits{"not a name": {}}}))
		}, quota.ErrInvalid},
		{"delete of an unknown namespace", func() error { return l.Delete("x") }, quota.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			require.ErrorIs(t, err, tt.want)
			require.Regexp(t, "^(placement|quota): ", err.Error())
			require.Equal(t, before, l.Snapshot())
		})
	}
}

func TestAllMistakesOfACharge(t *testing.T) {
	var l quota.Ledger
	_, err := l.Charge("", "\xff", milli(-1))
	require.EqualError(t, err, `placement: invalid namespace: empty
placement: invalid id "\xff": not UTF-8
placement: invalid cpu "-1": negative`)
	_, err = l.Check("", milli(-1))
	require.EqualError(t, err, `placement: invalid namespace: empty
placement: invalid cpu "-1": negative`)
}

func TestOrderDoesNotMatter(t *testing.T) {
	var charges []quota.Charge
	for i := range int64(60) {
		charges = append(charges, quota.Charge{
			Namespace: []string{"a/web", "a/db", "b", "org", "free"}[i%5], ID: fmt.Sprint(i),
			Amounts: placement.OneInstance(placement.Resources{CPU: i, Memory: i % 7, Custom: map[string]int64{fmt.Sprint(i % 3): i}}),
		})
	}
	burst := limits{placement.NameCPU: {Soft: 1000, BurstPercent: 1000, BurstFor: time.Minute}}
	var first quota.Snapshot
	for seed := range uint64(20) {
		l := organisation(t, burst, burst, nil)
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(charges), func(i, j int) { charges[i], charges[j] = charges[j], charges[i] })
		for _, c := range charges {
			_, err := l.Charge(c.Namespace, c.ID, c.Amounts)
			require.NoError(t, err)
		}
		random.Shuffle(len(charges), func(i, j int) { charges[i], charges[j] = charges[j], charges[i] })
		for _, c := range charges {
			if len(c.ID) == 1 { // the same ten in every round
				_, err := l.Release(c.Namespace, c.ID)
				require.NoError(t, err)
			}
		}
		if seed == 0 {
			first = l.Snapshot()
		}
		require.Equal(t, first, l.Snapshot())
	}
}

// TestConcurrentTree: 64 goroutines charge and release under three levels of
// limits. Every snapshot on the way, and the end, keeps every limit.
func TestConcurrentTree(t *testing.T) {
	l := organisation(t,
		limits{placement.NameInstances: {Soft: 20}},
		limits{placement.NameInstances: {Soft: 12}},
		limits{placement.NameInstances: {Soft: 12}})
	ceilings := map[string]int64{"a": 12, "b": 12, "org": 20}
	done := make(chan struct{})
	var watching, all sync.WaitGroup
	watching.Go(func() {
		for {
			counts := map[string]int64{}
			for _, c := range l.Snapshot().Charges {
				counts["org"]++
				counts[c.Namespace[:1]]++
			}
			for ns, count := range counts {
				if count > ceilings[ns] {
					t.Errorf("%d of %d in %s", count, ceilings[ns], ns)
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	namespaces := []string{"a/web", "a/db", "b"}
	for g := range 64 {
		all.Go(func() {
			ns := namespaces[g%3]
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", g, i)
				if _, err := l.Charge(ns, id, milli(0)); err != nil {
					continue
				}
				if _, err := l.Release(ns, id); err != nil {
					t.Error(err)
				}
			}
			_, _ = l.Charge(ns, "last-"+fmt.Sprint(g), milli(0)) // at most 20 succeed
		})
	}
	all.Wait()
	close(done)
	watching.Wait()
	require.EqualValues(t, 20, used(l, "org", placement.NameInstances), "64 wanted to stay")
}

func TestNewReportsAllMistakes(t *testing.T) {
	_, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "a", Limits: cpuLimit(-1)},
		{Namespace: "b", Parent: "nowhere"},
		{Namespace: "c"},
		{Namespace: "c", Limits: cpuLimit(1)},
	}})
	require.ErrorIs(t, err, quota.ErrInvalid)
	require.ErrorIs(t, err, quota.ErrNotFound)
	require.ErrorIs(t, err, quota.ErrConflict)

	_, err = quota.New(quota.Config{Specs: []quota.Spec{{Namespace: "b", Parent: "x"}, {Namespace: "a", Parent: "y"}}})
	require.EqualError(t, err, "placement: quota \"y\" not found\nplacement: quota \"x\" not found", "in the order of namespaces")
}

func TestErrorsAreSentences(t *testing.T) {
	c := newClock()
	l, err := quota.New(quota.Config{Now: c.Now, Specs: []quota.Spec{
		{Namespace: "org", Limits: limits{placement.NameMemory: {Soft: 4 * placement.GiB}, placement.NameInstances: {Soft: 2}}},
		{Namespace: "team", Parent: "org", Limits: limits{placement.NameCPU: {Soft: 2 * core, BurstPercent: 200, BurstFor: time.Minute}}},
	}})
	require.NoError(t, err)
	_, err = l.Charge("team", "a", placement.OneInstance(placement.Resources{CPU: 3 * core}))
	require.NoError(t, err)
	_, err = l.Charge("team", "b", placement.OneInstance(placement.Resources{}))
	require.NoError(t, err)
	c.advance(time.Minute)
	_, err = l.Charge("team", "c", placement.OneInstance(placement.Resources{CPU: 500, Memory: 5 * placement.GiB}))
	require.EqualError(t, err, `quota: "team" cannot be charged: `+
		`instances: 1 requested, but org uses 2 of 2 and lacks 1; `+
		`cpu: 500m requested, but team uses 3, has been above its soft limit of 2 for too long and must first give back 1; `+
		`memory: 5GiB requested, but org allows at most 4GiB in all`)
	_, err = l.Charge("team", "a", placement.Amounts{})
	require.EqualError(t, err, `quota: "team" is charged cpu=3 instances=1 for "a" already`)
	_, err = l.Release("team", "x")
	require.EqualError(t, err, `quota: "team" is not charged for "x"`)
	require.EqualError(t, l.Delete("team"), `quota: namespace "team" still has charges, 2 in all: "a", "b"`)
	require.EqualError(t, l.Delete("org"), `quota: namespace "org" still has children, 1 in all: "team"`)
	require.EqualError(t, l.Delete("x"), `placement: quota "x" not found`)
	_, err = l.Update(quota.Spec{Namespace: "org", Parent: "team"})
	require.EqualError(t, err, `placement: invalid parent "team": it is below "org": parents form a cycle`)
	_, err = l.Create(quota.Spec{Namespace: "y", Limits: limits{placement.NameCPU: {BurstPercent: 99}}})
	require.EqualError(t, err, `placement: invalid limits.cpu.burstPercent "99": want 0 or 100 to 10000`)
}

func TestRestoreRefusesContradictions(t *testing.T) {
	l := organisation(t, limits{placement.NameCPU: {Soft: core, BurstPercent: 300, BurstFor: time.Minute}}, nil, nil)
	_, err := l.Charge("a/web", "1", placement.OneInstance(placement.Resources{CPU: 2 * core, Custom: map[string]int64{"x": 1}}))
	require.NoError(t, err)
	good, err := json.Marshal(l.Snapshot())
	require.NoError(t, err)
	tests := []struct {
		name  string
		spoil func(*quota.Snapshot)
	}{
		{"last version", func(s *quota.Snapshot) { s.Version = math.MaxUint64 }},
		{"charge missing", func(s *quota.Snapshot) { s.Charges = nil }},
		{"charge twice", func(s *quota.Snapshot) { s.Charges = append(s.Charges, s.Charges...) }},
		{"charge without a namespace", func(s *quota.Snapshot) { s.Charges[0].Namespace = "" }},
		{"charge without an id", func(s *quota.Snapshot) { s.Charges[0].ID = "" }},
		{"state of a missing parent alone", func(s *quota.Snapshot) {
			*s = quota.Snapshot{State: quota.AccountsSnapshot{Specs: []quota.Spec{{Namespace: "x", Parent: "nowhere"}}}}
		}},
		{"charge of another namespace", func(s *quota.Snapshot) { s.Charges[0].Namespace = "b" }},
		{"charge to nobody", func(s *quota.Snapshot) { s.Charges[0].Namespace = "nobody" }},
		{"other amounts", func(s *quota.Snapshot) { s.Charges[0].Amounts.Resources.CPU++ }},
		{"negative amounts", func(s *quota.Snapshot) { s.Charges[0].Amounts.Resources.CPU = -1 }},
		{"negative usage", func(s *quota.Snapshot) { s.State.Accounts[0].Used.Instances = -1 }},
		{"negative count", func(s *quota.Snapshot) { s.State.Accounts[0].Charges = -1 }},
		{"usage without charges", func(s *quota.Snapshot) { s.State.Accounts[0].Charges = 0 }},
		{"accounts out of order", func(s *quota.Snapshot) { slices.Reverse(s.State.Accounts) }},
		{"account of nobody", func(s *quota.Snapshot) {
			s.State.Accounts = append(s.State.Accounts, quota.AccountState{Namespace: "z"})
		}},
		{"burst without beginning", func(s *quota.Snapshot) { s.State.Accounts[1].Since = nil }},
		{"beginning without burst", func(s *quota.Snapshot) { s.State.Accounts[1].Since[placement.NameMemory] = time.Time{} }},
		{"beginning of nothing", func(s *quota.Snapshot) { s.State.Accounts[1].Since["y"] = time.Time{} }},
		{"spec twice", func(s *quota.Snapshot) {
			s.State.Specs = append(s.State.Specs, quota.Spec{Namespace: "org"})
		}},
		{"parent missing", func(s *quota.Snapshot) { s.State.Specs = s.State.Specs[:len(s.State.Specs)-1] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var broken quota.Snapshot
			require.NoError(t, json.Unmarshal(good, &broken))
			require.NoError(t, new(quota.Ledger).Restore(broken), "it is good so far")
			tt.spoil(&broken)
			before := l.Snapshot()
			require.ErrorIs(t, l.Restore(broken), quota.ErrInvalid)
			require.Equal(t, before, l.Snapshot())
		})
	}
}

// FuzzRestore reads any JSON: it is refused, or comes out as it went in.
func FuzzRestore(f *testing.F) {
	var l quota.Ledger
	_, err := l.Create(quota.Spec{Namespace: "org", Limits: limits{placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: 1}}})
	require.NoError(f, err)
	_, err = l.Create(quota.Spec{Namespace: "ns", Parent: "org", Default: true})
	require.NoError(f, err)
	_, err = l.Charge("x", "y", placement.OneInstance(placement.Resources{CPU: 2, Custom: map[string]int64{"z": 1}}))
	require.NoError(f, err)
	data, err := json.Marshal(l.Snapshot())
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var snapshot quota.Snapshot
		if json.Unmarshal(data, &snapshot) != nil {
			return
		}
		var l quota.Ledger
		if err := l.Restore(snapshot); err != nil {
			require.Empty(t, l.Snapshot())
			return
		}
		require.NoError(t, l.Verify())
		first := l.Snapshot()
		var again quota.Ledger
		require.NoError(t, again.Restore(first))
		second := again.Snapshot()
		second.Version = first.Version
		require.Equal(t, first, second)
		for c := range l.Charges() {
			_, err := l.Release(c.Namespace, c.ID)
			require.NoError(t, err)
		}
		require.Empty(t, l.Snapshot().State.Accounts)
	})
}

func TestReasonText(t *testing.T) {
	texts := map[quota.ViolationReason]string{
		quota.Hard: "hard", quota.NeverFits: "never fits", quota.BurstExpired: "burst expired", quota.Undeclared: "undeclared", 9: "Reason(9)",
	}
	for _, reason := range slices.Sorted(maps.Keys(texts)) {
		require.Equal(t, texts[reason], reason.String())
		var same quota.ViolationReason
		if err := same.UnmarshalText([]byte(reason.String())); reason == 9 {
			require.EqualError(t, err, `placement: invalid reason "Reason(9)": unknown`)
		} else {
			require.NoError(t, err)
			require.Equal(t, reason, same)
		}
	}
	data, err := json.Marshal(quota.Violation{Namespace: "ns", Reason: quota.Undeclared})
	require.NoError(t, err)
	require.JSONEq(t, `{"namespace":"ns","reason":"undeclared","requested":0,"used":0,"soft":0,"ceiling":0,"shortfall":0}`, string(data))
}
