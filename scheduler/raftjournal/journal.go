package raftjournal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// retryPause is how long a call waits before it proposes again what was not taken,
// and before it looks again whether the node still runs.
const retryPause = 10 * time.Millisecond

// Journal is the journal as one member has it.
type Journal struct {
	node      *raft.Node
	machine   *Machine
	self      uint64 // among the callers in the log
	calls     atomic.Uint64
	appending chan struct{} // holds a value during Append
}

var _ scheduler.FollowableJournal = (*Journal)(nil)

// New returns the journal of a member whose node has this machine. The node must run
// for anything to happen.
func New(node *raft.Node, machine *Machine) *Journal {
	var self [8]byte
	_, _ = rand.Read(self[:]) // which never fails
	return &Journal{
		node: node, machine: machine,
		self: binary.LittleEndian.Uint64(self[:]), appending: make(chan struct{}, 1),
	}
}

// Acquire implements scheduler.Journal. It waits while a member has not said yet
// that it keeps a log, which each does soon after its first start. On a member that
// does not lead, or leads no more, it fails with raft.ErrNotLeader or with a
// scheduler.FencedError.
func (j *Journal) Acquire(ctx context.Context, token uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	of, outcome := j.begin()
	defer j.machine.forget(of)
	m := command{token: token, caller: of.caller, call: of.call}
	if _, err := j.propose(ctx, codec.Write(new(codec.Coder), nil, &m, commandFields)); err != nil {
		return j.explain(err, token)
	}
	return j.await(ctx, outcome)
}

// Append implements scheduler.Journal. It fails as Acquire does. Where the outcome is
// not known, the error is raft.ErrOutcomeUnknown, too. One call writes at a time.
func (j *Journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case j.appending <- struct{}{}:
		defer func() { <-j.appending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	of, outcome := j.begin()
	defer j.machine.forget(of)
	m := command{token: token, caller: of.caller, call: of.call}
	commands := appendCommands(m, records, j.node.MaxCommand()-pieceOverhead)
	for len(commands) > 0 {
		n, err := j.propose(ctx, commands...)
		if err != nil {
			return j.explain(err, token)
		}
		commands = commands[n:]
	}
	return j.await(ctx, outcome)
}

// begin returns what says a new call, and where its outcome comes.
func (j *Journal) begin() (ticket, <-chan error) {
	of, outcome := ticket{j.self, j.calls.Add(1)}, make(chan error, 1)
	j.machine.expect(of, outcome)
	return of, outcome
}

// propose waits until commands are committed, or the first of them, and returns how
// many. What a proposal is refused for now passes: there is too much under way, or
// the cluster is new.
func (j *Journal) propose(ctx context.Context, commands ...[]byte) (n int, err error) {
	n = len(commands)
	for {
		_, err := j.node.Propose(ctx, j.node.Term(), commands[:n]...)
		full := errors.Is(err, raft.ErrFull)
		switch {
		case full && n > 1:
			n /= 2
			continue
		case !full && !errors.Is(err, raft.ErrNoLog):
			return n, err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return 0, errors.Join(err, ctx.Err())
		}
	}
}

// explain returns the error of a call whose proposal has failed. That a higher token was
// acquired says more than that another leads; but only if nothing was proposed.
func (j *Journal) explain(err error, token uint64) error {
	if errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrOutcomeUnknown) {
		if highest := j.machine.highest(); token < highest {
			return &scheduler.FencedError{Token: token, Highest: highest}
		}
	}
	return fmt.Errorf("raftjournal: %w", err)
}

// await waits for the outcome of a call that is committed: for this member to
// apply it.
func (j *Journal) await(ctx context.Context, outcome <-chan error) error {
	for {
		select {
		case err := <-outcome:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
		if j.node.Status().Stopped {
			select {
			case err := <-outcome:
				return err
			default:
				return fmt.Errorf("raftjournal: %w: %w", raft.ErrOutcomeUnknown, raft.ErrStopped)
			}
		}
	}
}

// Records implements scheduler.Journal, with what this member has applied.
func (j *Journal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return j.machine.records.Records(ctx)
}

// Follow implements scheduler.FollowableJournal, with what this member has applied:
// after Acquire has returned, that is everything. Its first RecordCurrent
// comes at once, although a member that has just started may lack what others have;
// while no leader is heard, no other comes.
func (j *Journal) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		told := false
		for r, err := range j.machine.records.Follow(ctx, after) {
			if r.Kind == scheduler.RecordCurrent {
				if told && !j.hears() {
					continue
				}
				told = true
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// hears reports whether this member leads or hears the leader.
func (j *Journal) hears() bool {
	_, known := j.node.Leader()
	return known
}
