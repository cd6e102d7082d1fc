package scheduler

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// The wire form of a snapshot: the whole state, in an order that depends on
// nothing but the state, so that equal states have equal bytes.
type snapshotJSON struct {
	Version     int                 `json:"v"`
	Seq         uint64              `json:"seq"`
	Time        time.Time           `json:"time"`
	Token       uint64              `json:"token,omitempty"`
	Joins       uint64              `json:"joins"`
	Reference   placement.Resources `json:"reference,omitzero"`
	Nodes       []nodeJSON          `json:"nodes,omitempty"`       // by join
	Classes     []placement.Request `json:"classes,omitempty"`     // in order of first use below
	Allocations []allocationJSON    `json:"allocations,omitempty"` // by ID and generation
	Released    []string            `json:"released,omitempty"`    // oldest first
	Quota       quota.State         `json:"quota,omitzero"`
	Quotas      map[string]uint64   `json:"quotas,omitempty"` // versions of specs by namespace

	Reservations reservation.Snapshot `json:"reservations,omitzero"`
	Mix          []MixKind            `json:"mix,omitempty"`

	Sum string `json:"sum,omitempty"` // see seal
}

type nodeJSON struct {
	Node     placement.Node `json:"node"`
	Join     uint64         `json:"join"`
	Version  uint64         `json:"version"`
	Cordoned bool           `json:"cordoned,omitempty"`
	Lost     bool           `json:"lost,omitempty"`
	// Unreported nodes wait for AdoptNode.
	Unreported bool        `json:"unreported,omitempty"`
	Tainted    []time.Time `json:"tainted,omitempty"`
}

type allocationJSON struct {
	ID         string               `json:"id"`
	Class      int                  `json:"class"`
	Node       int                  `json:"node"`
	Resources  placement.Resources  `json:"resources,omitzero"`
	Asked      *placement.Resources `json:"asked,omitempty"`
	Devices    []uint16             `json:"devices,omitempty"`
	Placed     time.Time            `json:"placed"`
	Generation uint64               `json:"generation"`
	Version    uint64               `json:"version"`
	Token      uint64               `json:"token,omitempty"`
	Score      uint16               `json:"score"`
	State      allocationState      `json:"state,omitempty"`
	Overstayed bool                 `json:"overstayed,omitempty"`
}

// Snapshot returns the whole state as a record: equal states give equal
// bytes. A replay of the journal up to the same Seq gives the same. Decisions
// go on meanwhile; it takes time and memory linear in the state.
func (s *Scheduler) Snapshot() (Record, error) {
	c, err := s.capture()
	if err != nil {
		return Record{}, err
	}
	// Not before others may begin one: a hook that is called here may do so.
	s.mu.Lock()
	if err := s.settle(context.Background(), nil); err != nil {
		return Record{}, err
	}
	data, err := seal(json.Marshal(c.finish()))
	if err != nil {
		return Record{}, fmt.Errorf("scheduler: encode snapshot: %w", err)
	}
	return Record{Seq: c.wire.Seq, Kind: RecordSnapshot, Data: data}, nil
}

// capture captures the present state, in turns, and waits for nothing else.
func (s *Scheduler) capture() (*capture, error) {
	s.snapshots.Lock()
	defer s.snapshots.Unlock()
	if err := s.enter(context.Background()); err != nil {
		return nil, err
	}
	c := s.state.capture()
	s.mu.Unlock()
	for s.captureSome(c) {
		continue
	}
	return c, nil
}

func (s *Scheduler) captureSome(c *capture) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.captureSome(c, captureTurn)
}

// Checkpoint appends a snapshot to the journal, which may then delete what
// came before, and Open needs not read it. A JournalError leaves the scheduler
// as it was, unless its token is fenced: that closes it.
func (s *Scheduler) Checkpoint(ctx context.Context) error {
	if s.cfg.Journal == nil {
		return errors.New("scheduler: Checkpoint needs a journal")
	}
	record, err := s.Snapshot()
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(s.lifetime, end)()
	err = s.cfg.Journal.Append(ctx, s.token, []Record{record})
	if err == nil {
		return nil
	}
	err = &JournalError{Unknown: !errors.Is(err, ErrFenced), Cause: err}
	if errors.Is(err, ErrFenced) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failLocked(err)
	}
	return err
}

// all returns every allocation by ID and generation, stale ones included.
func (st *state) all() []*allocation {
	all := slices.AppendSeq(make([]*allocation, 0, len(st.allocations)), maps.Values(st.allocations))
	for _, replaced := range st.stale {
		all = append(all, replaced...)
	}
	slices.SortFunc(all, compareAllocations)
	return all
}

// replay brings the state through one record.
func (st *state) replay(cfg Config, r Record) error {
	switch r.Kind {
	case RecordSnapshot:
		return st.replaySnapshot(cfg, r)
	case RecordEntry:
		e, err := decodeEntry(r)
		if err != nil {
			return err
		}
		if e.seq != st.seq+1 {
			return &FormatError{r.Seq, fmt.Sprintf("follows record %d", st.seq)}
		}
		if err := st.replayEntry(e); err != nil {
			return &FormatError{r.Seq, err.Error()}
		}
		return nil
	default:
		return &FormatError{r.Seq, fmt.Sprintf("unknown kind %d", r.Kind)}
	}
}

func (st *state) replaySnapshot(cfg Config, r Record) error {
	var wire snapshotJSON
	if err := decodeVersioned(r, &wire); err != nil {
		return err
	}
	if err := unseal(r, wire.Sum); err != nil {
		return err
	}
	if wire.Seq != r.Seq {
		return &FormatError{r.Seq, fmt.Sprintf("holds snapshot %d", wire.Seq)}
	}
	if wire.Seq < st.seq {
		return &FormatError{r.Seq, fmt.Sprintf("follows record %d", st.seq)}
	}
	restored := newState(cfg)
	if err := restored.restore(wire); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	*st = *restored
	return nil
}

func (st *state) restore(wire snapshotJSON) error {
	st.seq, st.now, st.token, st.joins = wire.Seq, wire.Time, wire.Token, wire.Joins
	st.index.SetReference(wire.Reference)
	if err := validateMix(wire.Mix); err != nil {
		return err
	}
	st.setMix(wire.Mix)
	nodes := make([]*node, len(wire.Nodes))
	for i, w := range wire.Nodes {
		if err := st.checkAdded(&NodeAdded{Node: w.Node}); err != nil {
			return err
		}
		if len(w.Tainted) != len(w.Node.Taints) {
			return fmt.Errorf("node %q has %d taints and %d times of them", w.Node.ID, len(w.Node.Taints), len(w.Tainted))
		}
		nodes[i] = st.restoreNode(w)
	}
	for _, w := range wire.Allocations {
		if w.Class < 0 || w.Class >= len(wire.Classes) || w.Node < 0 || w.Node >= len(nodes) {
			return fmt.Errorf("allocation %q points nowhere", w.ID)
		}
		req := wire.Classes[w.Class]
		req.ID, req.Resources = w.ID, w.Resources
		if err := st.checkInstance(&req, nodes[w.Node], w.Devices, w.Generation); err != nil {
			return err
		}
		st.restoreAllocation(w, &req, nodes[w.Node])
	}
	if err := st.restorePlan(wire.Reservations); err != nil {
		return err
	}
	if err := st.quota.Restore(wire.Quota); err != nil {
		return err
	}
	if err := st.verifyQuota(); err != nil {
		return err
	}
	maps.Copy(st.quotaVersions, wire.Quotas)
	for _, id := range wire.Released {
		st.released.add(id)
	}
	// What had fallen due by then has been told.
	for len(st.deadlines) > 0 && !st.deadlines[0].at.After(st.now) {
		heap.Pop(&st.deadlines)
	}
	return nil
}

// restorePlan restores the reservations, after the instances in them, and what
// they cover and charge. The charges themselves are in the quota.
func (st *state) restorePlan(wire reservation.Snapshot) error {
	check := st.planCheck(nil)
	for i := range wire.Reservations {
		r := &wire.Reservations[i]
		if i > 0 && r.Spec.ID <= wire.Reservations[i-1].Spec.ID {
			return fmt.Errorf("reservation %q is not in the order of IDs", r.Spec.ID)
		}
		if err := check.reservation(r); err != nil {
			return err
		}
	}
	for i, stay := range wire.Stays {
		a := st.allocations[stay.ID]
		_, stands := check.stands[stay.ID]
		if a == nil || a.state != running || a.node.ID != stay.Node || !a.resources.Equal(stay.Load.Resources) || stands ||
			i > 0 && stay.ID <= wire.Stays[i-1].ID {
			return fmt.Errorf("instance %q does not stay on node %q", stay.ID, stay.Node)
		}
	}
	st.plan = reservation.Restore(wire)
	for r := range st.plan.Reservations() {
		if owes := amountsOf(r.Owes()); !owes.Equal(quota.Amounts{}) {
			st.payments[r.Spec.ID] = payment{r.Spec.Namespace, owes}
		}
		for claim := range r.Claims() {
			covered := amountsOf(claim.Held)
			st.allocations[claim.ID].covered = &covered
		}
	}
	st.touch()
	return nil
}

func (st *state) restoreNode(w nodeJSON) *node {
	n := st.insertNode(w.Node, w.Join)
	n.version, n.tainted = w.Version, w.Tainted
	n.cordoned, n.lost, n.unreported = w.Cordoned, w.Lost, w.Unreported
	st.index.SetState(n.slot, n.indexState())
	return n
}

func (st *state) restoreAllocation(w allocationJSON, req *placement.Request, n *node) {
	a := &allocation{
		id: w.ID, class: st.index.Class(req), resources: w.Resources, asked: w.Asked, devices: w.Devices,
		placed: w.Placed, generation: w.Generation, version: w.Version, token: w.Token, score: w.Score,
		state: w.State, overstayed: w.Overstayed,
	}
	if a.state == stale {
		st.stale[a.id] = append(st.stale[a.id], a)
	} else {
		st.allocations[a.id] = a
	}
	st.settleIn(a, n)
}
