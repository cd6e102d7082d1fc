package quota_test

import (
	"encoding/json"
	"iter"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// newAccounts returns accounts in which team, under org, bursts from 10 to 20
// cores for a minute.
func newAccounts(t *testing.T) (*quota.Accounts, time.Time) {
	t.Helper()
	now := newClock().Now()
	var a quota.Accounts
	for _, spec := range []quota.Spec{
		{Namespace: "org"},
		{Namespace: "team", Parent: "org", Limits: limits{placement.NameCPU: {Soft: 10 * core, BurstPercent: 200, BurstFor: time.Minute}}},
	} {
		_, err := a.Create(now, spec)
		require.NoError(t, err)
	}
	return &a, now
}

// list yields charges as Verify wants them.
func list(charges ...quota.Charge) iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, c := range charges {
			if !yield(c.Namespace, quota.Timed{Amounts: c.Amounts}) {
				return
			}
		}
	}
}

func TestAccountsSteps(t *testing.T) {
	a, now := newAccounts(t)
	verdict, err := a.Check(now, "team", milli(21*core), quota.MayBurst)
	require.NoError(t, err)
	require.Equal(t, quota.NeverFits, verdict.Violations[0].Reason)

	_, err = a.Charge(now, "team", milli(8*core), quota.MayBurst)
	require.NoError(t, err)
	_, err = a.Charge(now, "team", milli(3*core), quota.SoftOnly)
	violation := requireRefused(t, err, placement.NameCPU, quota.Hard)
	require.EqualValues(t, 10*core, violation.Ceiling)
	require.EqualValues(t, core, violation.Shortfall)
	verdict, err = a.Charge(now, "team", milli(2*core), quota.SoftOnly)
	require.NoError(t, err)
	require.Empty(t, verdict.Bursting())
	verdict, err = a.Charge(now, "team", milli(3*core), quota.MayBurst)
	require.NoError(t, err)
	require.Equal(t, []placement.ResourceName{placement.NameCPU}, verdict.Bursting())
	_, err = a.Charge(now, "team", milli(1), quota.SoftOnly)
	requireRefused(t, err, placement.NameCPU, quota.Hard)

	over, err := a.Add(now, "team", milli(8*core))
	require.NoError(t, err, "what exists is charged, whatever the limit")
	require.Len(t, over, 1)
	require.EqualValues(t, 21*core, over[0].Used)
	require.True(t, over[0].Over())
	require.True(t, over[0].Bursting())

	verdict, err = a.CheckResize(now, "team", milli(8*core), milli(9*core), quota.MayBurst)
	require.NoError(t, err)
	require.EqualValues(t, core, verdict.Violations[0].Requested)
	_, err = a.CheckResize(now, "team", milli(8*core), milli(-1), quota.MayBurst)
	require.ErrorIs(t, err, quota.ErrInvalid)
	verdict, err = a.CheckResize(now, "team", milli(8*core), milli(7*core), quota.MayBurst)
	require.NoError(t, err)
	require.True(t, verdict.Allowed())
	over, err = a.Replace(now, "team", milli(8*core), milli(7*core))
	require.NoError(t, err)
	require.Empty(t, over)
	over, err = a.Replace(now.Add(time.Minute), "team", milli(7*core), milli(7*core))
	require.NoError(t, err)
	require.Len(t, over, 1, "the burst has expired")

	require.NoError(t, a.Verify(list(
		quota.Charge{Namespace: "team", Amounts: milli(7 * core)}, quota.Charge{Namespace: "team", Amounts: milli(8 * core)},
		quota.Charge{Namespace: "team", Amounts: milli(2 * core)}, quota.Charge{Namespace: "team", Amounts: milli(3 * core)},
	)))
	for _, n := range []int64{7, 8, 2, 3} {
		require.NoError(t, a.Remove("team", milli(n*core)))
	}
	require.NoError(t, a.Verify(list()))
}

// TestReplaceKeepsBurst: a charge that changes does not end the burst that it
// is part of, as giving it back and charging it again would.
func TestReplaceKeepsBurst(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "team", milli(12*core), quota.MayBurst)
	require.NoError(t, err)
	_, err = a.Replace(now.Add(30*time.Second), "team", milli(12*core), milli(13*core))
	require.NoError(t, err)
	end, ok := a.NextDeadline()
	require.True(t, ok)
	require.Equal(t, now.Add(time.Minute), end)
	require.Len(t, a.Advance(end), 1)
	_, ok = a.NextDeadline()
	require.False(t, ok, "it has come")
}

func TestReplaceOnlyWhatIsCharged(t *testing.T) {
	var a quota.Accounts
	now := time.Unix(0, 0)
	for _, amount := range []int64{5, math.MaxInt64 - 5} {
		_, err := a.Add(now, "ns", milli(amount))
		require.NoError(t, err)
	}
	before := a.Snapshot()
	_, err := a.Replace(now, "ns", milli(5), milli(6))
	require.ErrorIs(t, err, quota.ErrExceeded, "what is charged, to more than can be counted")
	require.NoError(t, a.Remove("ns", milli(math.MaxInt64-5)))
	_, err = a.Replace(now, "ns", milli(6), milli(7))
	require.ErrorIs(t, err, quota.ErrNotCharged, "more than is charged")
	_, err = a.Add(now, "ns", milli(math.MaxInt64-5))
	require.NoError(t, err)
	require.Equal(t, before, a.Snapshot())
}

func TestRemoveOnlyWhatIsCharged(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "org", milli(core), quota.MayBurst)
	require.NoError(t, err)
	_, err = a.Charge(now, "team", milli(2*core), quota.MayBurst)
	require.NoError(t, err)
	_, err = a.Charge(now, "team", milli(3*core), quota.MayBurst)
	require.NoError(t, err)
	before := a.Snapshot()
	tests := []struct {
		name    string
		ns      string
		amounts placement.Amounts
	}{
		{"what a child is charged", "org", milli(2 * core)},
		{"a part of the last charge", "org", milli(1)},
		{"more than all", "team", milli(6 * core)},
		{"another dimension", "team", placement.OneInstance(placement.Resources{Memory: 1})},
		{"nothing, of nobody", "nobody", placement.Amounts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, a.Remove(tt.ns, tt.amounts), quota.ErrNotCharged)
			_, err := a.Replace(now, "nobody", tt.amounts, placement.Amounts{})
			require.ErrorIs(t, err, quota.ErrNotCharged)
			require.Equal(t, before, a.Snapshot())
		})
	}
	require.ErrorIs(t, a.Remove("team", milli(-1)), quota.ErrInvalid)
	require.NoError(t, a.Remove("org", milli(core)))
}

func TestAddNeverOverflows(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Add(now, "org", placement.Amounts{Resources: placement.Resources{Memory: math.MaxInt64}})
	require.NoError(t, err)
	before := a.Snapshot()
	_, err = a.Add(now, "team", placement.Amounts{Resources: placement.Resources{Memory: 1}})
	violation := requireRefused(t, err, placement.NameMemory, quota.Hard)
	require.Equal(t, "org", violation.Namespace)
	require.Equal(t, before, a.Snapshot())
}

// TestForgottenNamespace: what comes back starts from nothing.
func TestForgottenNamespace(t *testing.T) {
	var a quota.Accounts
	now := newClock().Now()
	_, err := a.Create(now, quota.Spec{Namespace: "default", Default: true, Limits: limits{
		placement.NameCPU: {Soft: core, BurstPercent: 200, BurstFor: time.Minute},
	}})
	require.NoError(t, err)
	for i := range 3 {
		began := now.Add(time.Duration(i) * time.Hour)
		_, err := a.Charge(began, "x", milli(2*core), quota.MayBurst)
		require.NoError(t, err)
		end, _ := a.NextDeadline()
		require.Equal(t, began.Add(time.Minute), end)
		require.Equal(t, []string{"default", "x"}, slices.Collect(a.Namespaces()))
		require.NoError(t, a.Remove("x", milli(2*core)))
		require.Equal(t, []string{"default"}, slices.Collect(a.Namespaces()))
		_, ok := a.NextDeadline()
		require.False(t, ok)
	}
}

// TestChecksOfSpecs: the error beforehand is the error of the call.
func TestChecksOfSpecs(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "team", milli(core), quota.MayBurst)
	require.NoError(t, err)
	before := a.Snapshot()
	for spec := range a.Specs() {
		require.Equal(t, "org", spec.Namespace)
		break
	}
	require.EqualError(t, a.CheckDelete("team"), `quota: namespace "team" still has charges, 1 in all`)
	specs := []quota.Spec{
		{},
		{Namespace: "team", Parent: "nowhere"},
		{Namespace: "org", Parent: "team"},
		{Namespace: "org"},
		{Namespace: "new", Parent: "team", Default: true, Limits: limits{"x": {Soft: 1}}},
	}
	for _, spec := range specs {
		create, update, del := a.CheckCreate(spec), a.CheckUpdate(spec), a.CheckDelete(spec.Namespace)
		require.Equal(t, before, a.Snapshot())
		trial := func() *quota.Accounts {
			var trial quota.Accounts
			require.NoError(t, trial.Restore(before, nil))
			return &trial
		}
		_, err := trial().Create(now, spec)
		require.Equal(t, err, create)
		_, err = trial().Update(now, spec)
		require.Equal(t, err, update)
		require.Equal(t, trial().Delete(spec.Namespace), del)
	}
}

func TestVerifyFindsDrift(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "team", milli(core), quota.MayBurst)
	require.NoError(t, err)
	require.NoError(t, a.Verify(list(quota.Charge{Namespace: "team", Amounts: milli(core)})))

	err = a.Verify(list(quota.Charge{Namespace: "team", Amounts: milli(2 * core)}))
	require.ErrorIs(t, err, quota.ErrDrift)
	var drift *quota.DriftError
	require.ErrorAs(t, err, &drift)
	require.Equal(t, &quota.DriftError{Namespace: "org", Resource: placement.NameCPU, Used: core, Charged: 2 * core}, drift)
	require.ErrorIs(t, a.Verify(list()), quota.ErrDrift)
	require.ErrorIs(t, a.Verify(list(quota.Charge{Namespace: "org", Amounts: milli(core)})), quota.ErrDrift, "the wrong payer")
	err = a.Verify(list(quota.Charge{Namespace: "nobody"}, quota.Charge{Namespace: "team", Amounts: milli(core)}))
	require.EqualError(t, err, `quota: the books of "nobody" have a number of charges of 0, the charges 1`)
	require.ErrorIs(t, a.Verify(list(quota.Charge{Namespace: "team", Amounts: milli(-1)})), quota.ErrInvalid)

	_, err = a.Add(now, "org", placement.Amounts{})
	require.NoError(t, err)
	err = a.Verify(list(quota.Charge{Namespace: "team", Amounts: milli(core)}))
	require.EqualError(t, err, `quota: the books of "org" have a number of charges of 1, the charges 0`, "a charge of nothing is one")
}

func TestStateIsStable(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "team", placement.OneInstance(placement.Resources{CPU: 11 * core, Custom: map[string]int64{"x": 1}}), quota.MayBurst)
	require.NoError(t, err)
	_, err = a.Add(now, "free", placement.Amounts{})
	require.NoError(t, err)
	data, err := json.Marshal(a.Snapshot())
	require.NoError(t, err)
	require.Equal(t, `{"specs":[{"namespace":"org"},`+
		`{"namespace":"team","limits":{"cpu":{"soft":10000,"burstPercent":200,"burstFor":60000000000}},"parent":"org"}],`+
		`"accounts":[{"namespace":"free","charges":1},`+
		`{"namespace":"team","charges":1,"used":{"resources":{"cpu":11000,"custom":{"x":1}},"instances":1},"since":{"cpu":"2026-01-02T03:04:05Z"}}]}`,
		string(data))

	var state quota.AccountsSnapshot
	require.NoError(t, json.Unmarshal(data, &state))
	var restored quota.Accounts
	require.NoError(t, restored.Restore(state, nil))
	require.Equal(t, a.Snapshot(), restored.Snapshot())
	require.Equal(t, a.Usage(now, "org"), restored.Usage(now, "org"))
	end, ok := restored.NextDeadline()
	require.True(t, ok)
	require.Equal(t, now.Add(time.Minute), end)
}

func TestAccountsRestoreRefusesContradictions(t *testing.T) {
	a, now := newAccounts(t)
	_, err := a.Charge(now, "team", milli(core), quota.MayBurst)
	require.NoError(t, err)
	before := a.Snapshot()
	tests := []struct {
		name  string
		state quota.AccountsSnapshot
	}{
		{"negative count", quota.AccountsSnapshot{Accounts: []quota.AccountState{{Namespace: "x", Charges: -1}}}},
		{"usage of no charge", quota.AccountsSnapshot{Accounts: []quota.AccountState{{Namespace: "x", Used: milli(1)}}}},
		{"account twice", quota.AccountsSnapshot{Accounts: []quota.AccountState{
			{Namespace: "x", Charges: 1, Used: milli(1)}, {Namespace: "x", Charges: 1, Used: milli(1)},
		}}},
		{"negative usage", quota.AccountsSnapshot{Accounts: []quota.AccountState{{Namespace: "x", Charges: 1, Used: milli(-1)}}}},
		{"neither spec nor charge", quota.AccountsSnapshot{Accounts: []quota.AccountState{{Namespace: "x"}}}},
		{"more than can be counted", quota.AccountsSnapshot{
			Specs: []quota.Spec{{Namespace: "p"}, {Namespace: "x", Parent: "p"}},
			Accounts: []quota.AccountState{
				{Namespace: "p", Charges: 1, Used: milli(math.MaxInt64)}, {Namespace: "x", Charges: 1, Used: milli(1)},
			},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, a.Restore(tt.state, nil), quota.ErrInvalid)
			require.Equal(t, before, a.Snapshot())
		})
	}
}

func TestAmounts(t *testing.T) {
	tests := []struct {
		amounts placement.Amounts
		text    string
	}{
		{placement.Amounts{}, "none"},
		{placement.Amounts{Instances: 2}, "instances=2"},
		{milli(1500), "cpu=1500m instances=1"},
		{placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"x": 3}}}, "x=3"},
	}
	for _, tt := range tests {
		require.Equal(t, tt.text, tt.amounts.String())
		for name, amount := range tt.amounts.All() {
			require.Equal(t, tt.amounts.Amount(name), amount)
		}
		require.True(t, tt.amounts.Equal(tt.amounts.Clone()))
		require.NoError(t, tt.amounts.Validate())
	}
	require.False(t, milli(1).Equal(placement.Amounts{Resources: placement.Resources{CPU: 1}}))
}

// TestSteadyStateAllocatesNothing: in steady state neither charges nor refusals by Check of what
// bursts allocate.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	a, now := newAccounts(t)
	steps := func() {
		_, _ = a.Charge(now, "team", milli(12*core), quota.MayBurst) // bursts
		_, _ = a.Charge(now, "free", milli(core), quota.MayBurst)    // a namespace that comes and goes
		_, _ = a.Check(now, "team", milli(core), quota.MayBurst)
		_, _ = a.Replace(now, "team", milli(12*core), milli(11*core))
		_ = a.Remove("free", milli(core))
		_ = a.Remove("team", milli(11*core))
	}
	steps()
	require.Zero(t, testing.AllocsPerRun(100, steps))

	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: core, BurstPercent: 300}})
	calls := func() {
		_, _ = l.Charge("ns", "a", milli(2*core))
		_, _ = l.Check("ns", milli(core))
		_, _ = l.Resize("ns", "a", milli(3*core))
		_, _ = l.Release("ns", "a")
	}
	calls()
	require.Zero(t, testing.AllocsPerRun(100, calls))
}
