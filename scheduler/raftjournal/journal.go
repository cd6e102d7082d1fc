package raftjournal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// What New sets where a raft.Config has zero.
const (
	defaultMaxAppend      = 64 << 10
	defaultMaxUncommitted = 8 << 20
)

// appendOverhead is at least what a command of one piece takes of an append besides
// the data of the piece.
const appendOverhead = 1 << 10

// retryPause is how long a call waits before it proposes again what was not taken,
// and before it looks again whether the node still runs.
const retryPause = 10 * time.Millisecond

// Journal is what one member has of the journal. Its node applies the log to it.
type Journal struct {
	node       *raft.Node
	self       uint64 // among the callers in the log
	pieceBytes int    // at most, in one command
	groupBytes int    // at most, in one proposal
	appending  chan struct{}

	records scheduler.MemoryJournal // what is committed

	mu      sync.Mutex            // guards all below
	applied uint64                // the last entry of the log
	pending []byte                // of a batch whose last piece has not come
	calls   uint64                // that have begun
	waiting map[uint64]chan error // for the outcome of a call; each has room for it
}

var _ scheduler.FollowableJournal = (*Journal)(nil)

// New returns the journal of a member, and its node, which must run for anything to
// happen. Log is required and Machine must be nil: it is the journal's. MaxAppend and
// MaxUncommitted have the defaults that they have in package raft; a batch may be
// longer than either. The errors are those of raft.New.
func New(cfg raft.Config) (*Journal, *raft.Node, error) { return build(cfg, raft.New) }

// NewWithClock is New with another clock, see raft.NewWithClock.
func NewWithClock(cfg raft.Config, now func() time.Duration) (*Journal, *raft.Node, error) {
	return build(cfg, func(cfg raft.Config) (*raft.Node, error) { return raft.NewWithClock(cfg, now) })
}

// build is New with a function that makes the node.
func build(cfg raft.Config, newNode func(raft.Config) (*raft.Node, error)) (*Journal, *raft.Node, error) {
	if cfg.Log == nil || cfg.Machine != nil {
		return nil, nil, fmt.Errorf("%w: raftjournal: Log is required, and Machine is the journal's", raft.ErrConfig)
	}
	if cfg.MaxAppend == 0 {
		cfg.MaxAppend = defaultMaxAppend
	}
	if cfg.MaxUncommitted == 0 {
		cfg.MaxUncommitted = max(defaultMaxUncommitted, cfg.MaxAppend)
	}
	j := &Journal{
		pieceBytes: cfg.MaxAppend - appendOverhead,
		groupBytes: cfg.MaxUncommitted / 2,
		appending:  make(chan struct{}, 1),
		waiting:    make(map[uint64]chan error),
	}
	var self [8]byte
	_, _ = rand.Read(self[:]) // which never fails
	j.self = binary.LittleEndian.Uint64(self[:])
	cfg.Machine = machine{j}
	node, err := newNode(cfg)
	if err != nil {
		return nil, nil, err
	}
	j.node = node
	return j, node, nil
}

// Acquire implements scheduler.Journal. It waits while a member has not said yet
// that it keeps a log, which each does soon after its first start. On a member that
// does not lead, or leads no more, it fails with raft.ErrNotLeader or with a
// scheduler.FencedError.
func (j *Journal) Acquire(ctx context.Context, token uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call, outcome := j.begin()
	defer j.end(call)
	m := command{token: token, caller: j.self, call: call}
	err := j.propose(ctx, codec.Write(new(codec.Coder), nil, &m, commandFields))
	if err == nil {
		return j.await(ctx, outcome)
	}
	return explain(err, token, func(highest uint64) bool { return token > highest }, j.highest)
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
	call, outcome := j.begin()
	defer j.end(call)
	commands := appendCommands(command{token: token, caller: j.self, call: call}, records, j.pieceBytes)
	for len(commands) > 0 {
		n := firstGroup(commands, j.groupBytes)
		if err := j.propose(ctx, commands[:n]...); err != nil {
			return explain(err, token, func(highest uint64) bool { return token == highest }, j.highest)
		}
		commands = commands[n:]
	}
	return j.await(ctx, outcome)
}

// firstGroup returns how many of the commands go into one proposal of so many
// bytes: one at least.
func firstGroup(commands [][]byte, bytes int) int {
	for n, command := range commands {
		if bytes -= len(command); bytes < 0 && n > 0 {
			return n
		}
	}
	return len(commands)
}

// propose waits until commands are committed. What a proposal is refused for now
// passes: there is too much under way, or the cluster is new.
func (j *Journal) propose(ctx context.Context, commands ...[]byte) error {
	for {
		_, err := j.node.Propose(ctx, j.node.Term(), commands...)
		if !errors.Is(err, raft.ErrNoLog) && !errors.Is(err, raft.ErrFull) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// explain returns the error of a call whose proposal has failed. That another
// leads says more if the token may not write any more; but only if nothing was
// proposed.
func explain(err error, token uint64, may func(highest uint64) bool, highest func() uint64) error {
	if errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrOutcomeUnknown) {
		if highest := highest(); !may(highest) {
			return &scheduler.FencedError{Token: token, Highest: highest}
		}
	}
	return fmt.Errorf("raftjournal: %w", err)
}

// highest returns the highest token as far as this member knows.
func (j *Journal) highest() uint64 {
	var fenced *scheduler.FencedError
	errors.As(j.records.Acquire(context.Background(), 0), &fenced) // no token is that low
	return fenced.Highest
}

// begin returns the number of a new call, and where its outcome comes.
func (j *Journal) begin() (call uint64, outcome <-chan error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls++
	waiting := make(chan error, 1)
	j.waiting[j.calls] = waiting
	return j.calls, waiting
}

func (j *Journal) end(call uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.waiting, call)
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
	return j.records.Records(ctx)
}

// Follow implements scheduler.FollowableJournal, with what this member has applied:
// after Acquire has returned, that is everything. Its first RecordCurrent
// comes at once, although a member that has just started may lack what others have;
// while no leader is heard, no other comes.
func (j *Journal) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		told := false
		for r, err := range j.records.Follow(ctx, after) {
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
