package raft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// Limits and defaults of a Config.
const (
	// MaxPromise is the greatest election timeout, and so the longest promise
	// that a node may ask for.
	MaxPromise = time.Hour

	defaultElectionTimeoutMin = 150 * time.Millisecond
	defaultElectionTimeoutMax = 300 * time.Millisecond
	defaultHeartbeatInterval  = 50 * time.Millisecond
	defaultMaxRetries         = 3
	defaultClockDriftPPM      = 5_000
	defaultMaxAppend          = 64 << 10
	defaultMaxUncommitted     = 8 << 20
	defaultCompactAfter       = 4 << 20
	maxClockDriftPPM          = 100_000
	// maxRounds bounds how many heartbeats fit in one election timeout; the
	// leader remembers when it sent each of them.
	maxRounds = 1024
	// perMillion turns parts per million into a fraction.
	perMillion = 1_000_000
	// slackDivisor is rule 2's slack: a tenth of the minimal election timeout.
	slackDivisor = 10
)

// A Transport carries frames between the members of a cluster. Those of package
// transport fit; so does any other that keeps this contract: a frame arrives
// intact or not at all, only at the member that it was sent to, and the handler
// is told who really sent it. Loss, duplication, reordering and any delay are
// allowed.
type Transport interface {
	// Send queues a copy of the frame for a member and never blocks; see Run for
	// one that does. An error says that this frame was not queued.
	Send(to string, frame []byte) error
	// Serve hands arriving frames to handler, which may be called concurrently
	// and keeps no frame, until ctx ends or the transport fails. No call of the
	// handler is running or made after it has returned.
	Serve(ctx context.Context, handler func(from string, frame []byte)) error
}

// Config is what a Core and a Node are made from. It is copied and never
// changed; zero fields mean what their comments say.
type Config struct {
	// ID is this node's name, 1 to 64 bytes, unique in the cluster.
	ID string
	// Cluster is the cluster's name, 1 to 64 bytes. Messages of others are
	// dropped.
	Cluster string
	// Start says how a node without a configuration begins. Zero: Resume.
	Start Start

	// ElectionTimeoutMin and ElectionTimeoutMax bound the silence after which a
	// node campaigns; each attempt draws anew from [min, max). The minimum is
	// also what a leader's lease is made of, and the longest pause or delay that
	// does not cost it. Zero: 150 ms, and twice the minimum. The maximum is at
	// most MaxPromise.
	ElectionTimeoutMin, ElectionTimeoutMax time.Duration
	// HeartbeatInterval is how often a leader asks for a longer lease. A lease,
	// which is about 0.89 minimal election timeouts, must last for two of them.
	// Zero: 50 ms, or a third of ElectionTimeoutMin if that is given.
	HeartbeatInterval time.Duration
	// MaxRetries is how often a campaigning node asks silent voters again, once
	// per heartbeat interval. Zero: 3. -1: never.
	MaxRetries int
	// MaxClockDriftPPM is by how many parts per million any member's clock may
	// run faster or slower than true time; leases are shorter for it. Beyond it
	// two leases may overlap; terms still tell them apart. Zero: 5,000, which is
	// 0.5 %. At most 100,000.
	//
	// A hypervisor that pauses a guest, for a snapshot or a migration, mostly stops
	// all its clocks, CLOCK_BOOTTIME too. To the others that is a clock that runs
	// slow without any bound: a leader that was paused takes its lease to run on
	// after the pause, until a member's answer tells it of a later term, and only
	// the fencing token keeps its effects apart from the next leader's. Suspend of
	// the guest itself is no such pause.
	MaxClockDriftPPM int
	// Rand seeds what election timeouts are drawn from, together with the ID, so
	// that members may be given equal sources. One number is drawn from it. Nil: New
	// seeds at random; NewCore requires it.
	Rand rand.Source

	// Store keeps the node's durable state. Required by New.
	Store Store
	// Log keeps the replicated log durable, and Machine is given what is committed.
	// Nil: the node takes part in elections only. Either all members have both or
	// nobody proposes anything; a cluster can be given them one member after the
	// other. A node whose cluster has begun to replicate does not start without. What
	// is not compacted of the log is in memory, too.
	Log     Log
	Machine Machine
	// Transport carries its messages. Required by New.
	Transport Transport
	// MaxAppend is the longest message with entries of the log that the Transport
	// takes, in bytes. It bounds the size of one command, which takes part of it for
	// itself. Zero: 64 KiB. At least 4 KiB and at most MaxAppendSize.
	MaxAppend int
	// MaxUncommitted bounds the commands that are not committed, in bytes with 13 for
	// each; beyond it proposals are refused. Zero: 8 MiB. At least MaxAppend.
	MaxUncommitted int
	// CompactAfter is how many bytes of entries, with 13 for each, the Machine has applied
	// behind its last snapshot before another one is made; as many as that snapshot has,
	// if it is larger, so that no more is written of snapshots than of entries. Then
	// entries that are in it go, but for as many bytes as it has, for members that lag. Zero: 4
	// MiB. Negative: no snapshots are made, and the log grows for as long as the cluster
	// lives.
	CompactAfter int
	// ReleaseTimeout bounds how long a leader that resigns or hands over waits
	// for the application to call Leadership.Release. Zero: the maximal
	// election timeout.
	ReleaseTimeout time.Duration
	// Healthy is asked before each round of heartbeats, and before the node
	// stands for election, if not nil. An error ends the reign and hands the
	// lead to another, and the node does not stand until Healthy returns nil
	// again: while it returns errors everywhere, nobody leads and no term
	// begins. It should return within a heartbeat interval, since the node does
	// nothing else meanwhile; see Run for one that does not return. A leader
	// saves nothing while nothing changes, so that only Healthy can tell that
	// its disk has become sick meanwhile.
	Healthy func() error
	// Logger gets what no caller is told: at level Info when reigns of this node
	// begin and end, at Warn what somebody should look at, once, or once a minute
	// while it lasts. Nil: nothing is logged.
	Logger *slog.Logger
}

// Start says how a node whose store holds no configuration begins (rule 16). A
// stored configuration always wins. The zero value is Resume.
type Start struct {
	mode    startMode
	members []Member
	minTerm uint64
}

type startMode uint8

const (
	startResume startMode = iota
	startBootstrap
	startJoin
)

// Resume begins from the stored state; without one, the node does not start.
func Resume() Start { return Start{} }

// Bootstrap begins a new cluster of these members, among them the node itself.
// Every founding node must be given the same members, with the same Data and
// priorities; those that differ elect nobody together, and are told so
// ([RefusedConfiguration]). All terms will be above
// minTerm, so that a cluster made anew can go on above the tokens that its
// journal has seen.
func Bootstrap(minTerm uint64, members ...Member) Start {
	return Start{mode: startBootstrap, members: slices.Clone(members), minTerm: minTerm}
}

// Join begins without a configuration: the node does not vote until a leader
// has named it. Add it there with AddMember.
func Join() Start { return Start{mode: startJoin} }

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.HeartbeatInterval == 0 {
		c.HeartbeatInterval = defaultHeartbeatInterval
		if c.ElectionTimeoutMin != 0 {
			c.HeartbeatInterval = max(c.ElectionTimeoutMin/3, 1)
		}
	}
	if c.ElectionTimeoutMin == 0 {
		c.ElectionTimeoutMin = defaultElectionTimeoutMin
	}
	if c.ElectionTimeoutMax == 0 {
		c.ElectionTimeoutMax = 2 * c.ElectionTimeoutMin
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = defaultMaxRetries
	}
	if c.MaxClockDriftPPM == 0 {
		c.MaxClockDriftPPM = defaultClockDriftPPM
	}
	if c.MaxAppend == 0 {
		c.MaxAppend = defaultMaxAppend
	}
	if c.MaxUncommitted == 0 {
		c.MaxUncommitted = defaultMaxUncommitted
	}
	if c.CompactAfter == 0 {
		c.CompactAfter = defaultCompactAfter
	}
	if c.ReleaseTimeout == 0 {
		c.ReleaseTimeout = c.ElectionTimeoutMax
	}
	return c
}

// validate reports everything that is wrong with a Config whose defaults are
// filled in, joined, but for what only the shell needs.
func (c Config) validate() error {
	errs := []error{validateID("ID", c.ID), validateID("Cluster", c.Cluster)}
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if c.ElectionTimeoutMin < 0 || c.ElectionTimeoutMax <= c.ElectionTimeoutMin || c.ElectionTimeoutMax > MaxPromise {
		bad("election timeout [%v, %v) is empty or above %v", c.ElectionTimeoutMin, c.ElectionTimeoutMax, MaxPromise)
	}
	if c.MaxClockDriftPPM < 0 || c.MaxClockDriftPPM > maxClockDriftPPM {
		bad("clock drift of %d ppm is not in [0, %d]", c.MaxClockDriftPPM, maxClockDriftPPM)
	}
	switch {
	case c.HeartbeatInterval < 0:
		bad("heartbeat interval of %v", c.HeartbeatInterval)
	case len(errs) > 2: // The lease cannot be computed.
	case c.lease()/2 < c.HeartbeatInterval: // doubled, it might overflow
		bad("a lease of %v is shorter than two heartbeat intervals of %v", c.lease(), c.HeartbeatInterval)
	case c.ElectionTimeoutMin/c.HeartbeatInterval > maxRounds:
		bad("more than %d heartbeat intervals of %v in %v", maxRounds, c.HeartbeatInterval, c.ElectionTimeoutMin)
	}
	if c.MaxRetries < -1 {
		bad("%d retries", c.MaxRetries)
	}
	if c.MaxAppend < MaxMessageSize || c.MaxAppend > MaxAppendSize || c.MaxUncommitted < c.MaxAppend {
		bad("appends of %d bytes are not in [%d, %d], or above %d uncommitted bytes",
			c.MaxAppend, MaxMessageSize, MaxAppendSize, c.MaxUncommitted)
	}
	if c.ReleaseTimeout < 0 {
		bad("release timeout of %v", c.ReleaseTimeout)
	}
	if c.Start.mode == startBootstrap {
		errs = append(errs, c.validateBootstrap())
	}
	return errors.Join(errs...)
}

// validateBootstrap reports what is wrong with the members to begin with.
func (c Config) validateBootstrap() error {
	first, err := NewConfiguration(c.Start.members...)
	errs := []error{err}
	if _, found := first.Member(c.ID); !found {
		errs = append(errs, fmt.Errorf("%w: node %q is not among the members to begin with", ErrConfig, c.ID))
	}
	for _, m := range first.Members {
		if m.Witness && !m.Voter { // Taken for a voter, it would be missed in every quorum.
			errs = append(errs, fmt.Errorf("%w: the witness %q is not a voter", ErrConfig, m.ID))
		}
	}
	if c.Start.minTerm >= termLimit-1 {
		errs = append(errs, ErrTermLimit)
	}
	return errors.Join(errs...)
}

// lease is how long a leader may act after it sent what a majority answered
// (rule 2): the shortest that a promise of ElectionTimeoutMin can last anywhere,
// as measured by the slowest clock here, less the slack.
func (c Config) lease() time.Duration {
	drift := int64(c.MaxClockDriftPPM)
	shortest := int64(c.ElectionTimeoutMin) * (perMillion - drift) / (perMillion + drift)
	return time.Duration(shortest) - c.ElectionTimeoutMin/slackDivisor
}
