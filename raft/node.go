package raft

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Node is one member of a cluster, running: it connects a Core with a clock, a
// Store and a Transport, and tells the application when it leads.
//
// All methods are safe for concurrent use. Those that change something wait
// until Run has begun, and fail with ErrStopped once it has ended; their ctx
// bounds the wait, not what was begun.
type Node struct {
	cfg    Config
	now    func() time.Duration
	logger *slog.Logger

	inbox   *mailbox
	calls   chan func(*loop) error // to the loop
	queue   proposalQueue
	nudge   chan struct{} // holds a token when the loop must look again
	stopped chan struct{} // closed when Run has ended

	leading atomic.Pointer[reign] // what IsLeader looks at, nil: not leading
	frames  frameCounters

	slowSaves atomic.Uint64 // counted by the watchdog

	mu      sync.Mutex // taken last, held for moments only
	begun   bool
	status  Status
	peers   []PeerStatus  // beside status; the memory is used again
	changed chan struct{} // closed and replaced whenever watchers should look
	reign   *reign        // nil when there is none
	yields  error         // why reign is being given up, nil: it is not; then nobody may join it
	ends    []reignEnd    // to be logged by the loop
	held    map[*Leadership]struct{}
	// leftover holds when the reigns ended that these have outlived.
	leftover map[*Leadership]time.Duration
	pause    pause
}

// reignEnd is a reign that has ended, and why.
type reignEnd struct {
	term  uint64
	cause error
}

// frameCounters are counted outside the loop.
type frameCounters struct {
	malformed, forged atomic.Uint64
}

// New returns a node that does nothing until Run. It reports everything that is
// wrong with the Config, joined; each error is an ErrConfig. The node's clock is,
// on Linux, CLOCK_BOOTTIME, which counts the time in suspend, and elsewhere Go's
// monotonic clock.
func New(cfg Config) (*Node, error) { return NewWithClock(cfg, systemClock()) }

// NewWithClock is New with a clock: the time since an arbitrary instant, which
// must never step back and be safe for concurrent use. In a testing/synctest
// bubble, for instance, that is time.Since of an instant in the bubble.
func NewWithClock(cfg Config, now func() time.Duration) (*Node, error) {
	cfg = cfg.withDefaults()
	errs := []error{cfg.validate()}
	errs = append(errs, validateStore(cfg.Store), validateLog(cfg.Log, cfg.Machine))
	if cfg.Transport == nil {
		errs = append(errs, fmt.Errorf("%w: Transport is missing", ErrConfig))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.NewPCG(randomUint64(), randomUint64())
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg:      cfg,
		now:      now,
		logger:   cfg.Logger.With("node", cfg.ID),
		inbox:    newMailbox(),
		calls:    make(chan func(*loop) error),
		nudge:    make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		changed:  make(chan struct{}),
		held:     make(map[*Leadership]struct{}),
		leftover: make(map[*Leadership]time.Duration),
		status:   Status{Cluster: cfg.Cluster, ID: cfg.ID},
	}
	return n, nil
}

// Receive takes one frame that the member from has sent. Run gives it to
// Transport.Serve; call it only if frames come in by another way as well. It
// copies what it needs and never blocks. Frames that are no message of that
// member are dropped and counted. When a member sends faster than the node reads,
// its oldest frames are dropped (rule 21). All frames are dropped while the node
// does not run. It takes time in proportion to the frame.
func (n *Node) Receive(from string, frame []byte) {
	var m Message
	if err := m.UnmarshalBinary(frame); err != nil {
		n.frames.malformed.Add(1)
		return
	}
	if m.From != from {
		n.frames.forged.Add(1)
		return
	}
	n.inbox.put(from, m)
}

// IsLeader reports whether this node leads at this instant: it holds a valid
// lease, by the clock, and is not giving it up. It takes no lock. Only
// Leadership and its context tell how long that lasts.
func (n *Node) IsLeader() bool {
	r := n.leading.Load()
	return r != nil && r.valid()
}

// Leader returns the member that leads, as far as this node knows, and false if it
// knows of none. Its Data says, for instance, where to redirect a client to.
func (n *Node) Leader() (Member, bool) {
	s := n.snapshot()
	return s.Configuration.Member(s.Leader)
}

// Term returns the term that the node is in; 0 before it runs. As a fencing
// token use Leadership.Term, which belongs to a reign.
func (n *Node) Term() uint64 { return n.snapshot().Term }

// Campaign makes the node stand for election now, instead of after a timeout. It
// does not wait for the outcome, and does nothing while the node campaigns. It ends
// a pause after failed work.
//
// It fails with ErrLeaderAlive while the node is bound to a leader or leads; with
// ErrUnknownMember, ErrWiped, ErrNotVoter or ErrWitness, in a MemberError, if it
// cannot lead; with ErrTermLimit if no term is left; and with ErrUnfit while it
// abstains for another reason than that pause.
func (n *Node) Campaign(ctx context.Context) error {
	return n.call(ctx, func(l *loop, reply chan<- error) error {
		n.endPause()
		l.consider(n.now(), true)
		effects, err := l.core.Campaign(n.now())
		if errors.Is(err, ErrUnfit) {
			err = fmt.Errorf("%w: %v", err, l.abstains)
		}
		reply <- err
		return l.apply(effects)
	})
}

// call runs op in the loop and waits for its one reply, which may come later.
// The error that op returns ends the loop.
func (n *Node) call(ctx context.Context, op func(l *loop, reply chan<- error) error) error {
	reply := make(chan error, 1)
	select {
	case n.calls <- func(l *loop) error { return op(l, reply) }:
	case <-n.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
	}
	select {
	case err := <-reply: // The answer came with the end.
		return err
	default:
		return ErrStopped
	}
}

// wake makes the loop look again at what others have changed.
func (n *Node) wake() {
	select {
	case n.nudge <- struct{}{}:
	default:
	}
}

// randomUint64 is unpredictable, so that no two processes draw the same.
func randomUint64() uint64 {
	var b [8]byte
	_, _ = cryptorand.Read(b[:]) // It never fails, see crypto/rand.
	return binary.BigEndian.Uint64(b[:])
}
