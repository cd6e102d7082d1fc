package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

// moved is an instance that moves at random, on nodes of two zones, over a journal that
// fails at random. Its namespace bursts because of it.
type moved struct {
	s       *scheduler.Scheduler
	cfg     scheduler.Config
	journal stored
	now     time.Time
	req     placement.Request
	told    []string // what others saw when a move was told
}

func newMoved(t *rapid.T) *moved {
	m := &moved{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	m.cfg = scheduler.Config{
		Journal: &m.journal, RememberReleased: 4, Now: func() time.Time { return m.now },
		Hooks: scheduler.Hooks{Event: func(e scheduler.Event) {
			if c, ok := e.Change.(*scheduler.Placed); ok && c.Move {
				m.told = append(m.told, m.seen())
			}
		}},
	}
	m.open(t)
	for id, zone := range map[string]string{"n1": "a", "n2": "a", "n3": "b"} {
		n := nodeOf(id, 8)
		n.Labels = map[string]string{"zone": zone, "site": "one"}
		require.NoError(t, m.s.AddNode(context.Background(), n))
	}
	_, err := m.s.CreateQuota(context.Background(), quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: placement.Core, BurstPercent: 300, BurstFor: time.Hour},
	}})
	require.NoError(t, err)
	m.req = placement.Request{
		ID: "x", Namespace: "team", Group: "g", Labels: map[string]string{"app": "x"},
		Resources: placement.Resources{CPU: 2 * placement.Core},
	}
	_, err = m.s.Place(context.Background(), m.req)
	require.NoError(t, err)
	return m
}

func (m *moved) open(t *rapid.T) {
	var err error
	m.s, err = scheduler.Open(context.Background(), m.cfg)
	require.NoError(t, err)
}

// seen is what others find of the instance: what is used and since when that is too
// much, whether a little more may be used and no more than that, whether it is there
// for those that look for it, and counted once by those that count.
func (m *moved) seen() string {
	ctx := context.Background()
	usage, err := m.s.QuotaUsage(ctx, "team")
	seen := fmt.Sprint(usage, err)
	probe := func(id, namespace string, cpu int64, rules placement.Preferences) {
		_, err := m.s.Schedule(ctx, placement.Request{
			ID: id, Namespace: namespace, Group: "g", Resources: placement.Resources{CPU: cpu}, Preferences: rules,
		})
		seen += fmt.Sprintf("; %s: %t %t", id, err == nil, errors.Is(err, scheduler.ErrReleased))
	}
	probe("fits the quota", "team", placement.Core, placement.Preferences{})
	probe("is above the quota", "team", placement.Core+1, placement.Preferences{})
	x := placement.Equal("app", "x")
	for _, most := range []int{1, 2} {
		probe(fmt.Sprint("beside fewer than ", most), "team", 0, placement.Use(placement.BinPack).Across(placement.AtMostPer("site", most).Counting(x)))
		probe(fmt.Sprint("in a group of ", most), "team", 0, placement.Use(placement.BinPack).Across(placement.AtMostPer("site", most)))
	}
	probe("near", "team", 0, placement.Use(placement.BinPack).Near(placement.Attract(x).Within("site")))
	probe("apart", "team", 0, placement.Use(placement.BinPack).Near(placement.Repel(x).Within("site")))
	_, err = m.s.Schedule(ctx, m.req)
	return seen + fmt.Sprint("; itself: ", err)
}

// elsewhere is what would become of the instance if its node were taken away.
func (m *moved) elsewhere(ctx context.Context) error {
	f, err := m.s.Fork(ctx)
	if err != nil {
		return err
	}
	a, err := f.Allocation(ctx, "x")
	if err != nil {
		return err
	}
	if _, err := f.RemoveNode(ctx, a.NodeID); err != nil {
		return err
	}
	_, err = f.Place(ctx, m.req)
	return err
}

// attempt makes a call, which may fail in the journal, before anything is written or
// after. It goes on with what is in the journal then.
func (m *moved) attempt(t *rapid.T, call func() error) {
	broken := errors.New("disk full")
	fails := func(context.Context) error { return broken }
	switch rapid.IntRange(0, 3).Draw(t, "journal") {
	case 0:
		m.journal.before = fails
	case 1:
		m.journal.after = fails
	}
	err := call()
	m.journal.before, m.journal.after = nil, nil
	if errors.Is(err, broken) {
		m.open(t)
		return
	}
	require.NoError(t, err)
}

// TestMovesShowNeitherAGapNorADouble: in the quota, to rules and in the IDs that are
// remembered, whenever somebody looks and wherever the journal fails.
func TestMovesShowNeitherAGapNorADouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx, m := context.Background(), newMoved(t)
		want := m.seen()
		for range rapid.IntRange(1, 3).Draw(t, "moves") {
			m.now = m.now.Add(time.Second)
			to := rapid.SampledFrom([]string{"n1", "n2", "n3", ""}).Draw(t, "to")
			before, err := m.s.Allocation(ctx, "x")
			require.NoError(t, err)
			m.attempt(t, func() error { _, err := m.s.Move(ctx, "x", to); return err })
			require.Equal(t, want, m.seen())
			if rapid.Bool().Draw(t, "take back") {
				m.attempt(t, func() error { _, err := m.s.KeepGeneration(ctx, "x", before.Generation); return err })
				require.Equal(t, want, m.seen())
			}
			all, err := m.s.Allocations(ctx)
			require.NoError(t, err)
			for _, a := range all {
				if a.Replaced {
					require.NoError(t, m.s.ReleaseGeneration(ctx, "x", a.Generation))
				}
			}
			require.Equal(t, want, m.seen())
			require.NoError(t, m.s.VerifyQuota(ctx))
		}
		require.NoError(t, m.elsewhere(ctx), "its ID was released at no time")
		for _, seen := range m.told {
			require.Equal(t, want, seen, "when it was told")
		}
	})
}
