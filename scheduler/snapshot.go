package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Reference   json.RawMessage     `json:"reference,omitempty"`   // of earlier versions; see decodeChange
	Nodes       []nodeJSON          `json:"nodes,omitempty"`       // by join
	Classes     []placement.Request `json:"classes,omitempty"`     // in order of first use below
	Allocations []allocationJSON    `json:"allocations,omitempty"` // by ID and generation
	Released    []string            `json:"released,omitempty"`    // oldest first
	Quota       quota.State         `json:"quota,omitzero"`
	Quotas      map[string]uint64   `json:"quotas,omitempty"` // versions of specs by namespace

	Reservations reservation.Snapshot `json:"reservations,omitzero"`
	Mix          []WorkloadClass      `json:"mix,omitempty"`

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

// Snapshot returns the whole state as a record. Equal states give equal bytes,
// and a replay of the journal up to the same Seq gives the same. Decisions go
// on meanwhile. It takes time and memory in proportion to the state: nodes,
// instances, namespaces and reservations.
func (s *Scheduler) Snapshot(ctx context.Context) (Record, error) {
	c, err := s.captured(ctx, parts{nodes: true, quotas: true, plan: true})
	if err != nil {
		return Record{}, err
	}
	data, err := seal(json.Marshal(c.snapshot()))
	if err != nil {
		return Record{}, fmt.Errorf("scheduler: encode snapshot: %w", err)
	}
	return Record{Seq: c.wire.Seq, Kind: RecordSnapshot, Data: data}, nil
}

// captured returns parts of the present state, once that is durable.
func (s *Scheduler) captured(ctx context.Context, p parts) (*capture, error) {
	c, err := s.capture(ctx, p)
	if err != nil {
		return nil, err
	}
	// Not before others may begin one: a hook that is called here may do so.
	s.mu.Lock()
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// capture captures the present state, in turns, and waits for nothing but
// another capture.
func (s *Scheduler) capture(ctx context.Context, p parts) (*capture, error) {
	select {
	case s.capturing <- struct{}{}:
		defer func() { <-s.capturing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	c := s.state.capture(s.now, p)
	s.mu.Unlock()
	for s.captureSome(ctx, c) {
		continue
	}
	return c, ctx.Err()
}

// captureSome takes one turn, the last one if ctx has ended.
func (s *Scheduler) captureSome(ctx context.Context, c *capture) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		s.state.endCapture(c)
		return false
	}
	return s.state.captureSome(c, captureTurn)
}

// Checkpoint appends a snapshot to the journal. The journal may then drop older
// records, and Open need not read them. A JournalError leaves the scheduler as
// it was, unless its token is fenced, which closes it. Decisions go on
// meanwhile. It costs what Snapshot does.
func (s *Scheduler) Checkpoint(ctx context.Context) (err error) {
	if s.cfg.Journal == nil {
		return errors.New("scheduler: Checkpoint needs a journal")
	}
	record, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(s.lifetime, end)()
	if err := s.beginCheckpoint(); err != nil {
		return err
	}
	defer func() { s.endCheckpoint(err) }()
	return s.appendRecords(ctx, []Record{record})
}

// beginCheckpoint makes Close wait until endCheckpoint.
func (s *Scheduler) beginCheckpoint() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.outbox.snapshots++
	}
	return s.failure
}

// endCheckpoint closes the scheduler if it was fenced.
func (s *Scheduler) endCheckpoint(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, ErrFenced) {
		s.failLocked(err)
	}
	s.outbox.snapshots--
	s.wakeAppendedLocked()
}
