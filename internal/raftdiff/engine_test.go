package raftdiff

import (
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
)

// What every node runs with.
const (
	ms        = time.Millisecond
	etMin     = 150 * ms
	etMax     = 300 * ms
	heartbeat = 50 * ms
	saveTime  = ms
)

// calm is a network that only takes time.
func calm() faultnet.Faults {
	return faultnet.Faults{LatencyMin: 150 * time.Microsecond, LatencyMax: 350 * time.Microsecond}
}

// engine is an implementation of the election.
type engine struct {
	name string
	// exclusive says that two nodes must never believe to lead at once.
	exclusive bool
	// newServer returns one of the nodes named ids, which is down.
	newServer func(id string, ids []string, seed uint64) server
}

func engines() []engine {
	return []engine{{"constellation", true, newCoreServer}, {"etcd", false, newRawNodeServer}}
}

// server is one node: what it has saved and, once started, a core. Calls of the
// core that have effects keep them for ready.
type server interface {
	// start begins a process from what is saved.
	start(now time.Duration) error
	// deadline is when to call tick.
	deadline() time.Duration
	tick(now time.Duration)
	receive(now time.Duration, frame []byte) error
	campaign(now time.Duration)
	transfer(now time.Duration, to string)
	// ready returns what the latest call asks for, then what that leads to,
	// until there is nothing.
	ready() (effects, bool, error)
	view(now time.Duration) view
}

// effects are carried out in this order.
type effects struct {
	save   func() // takes saveTime; nil if there is nothing to save
	done   func() // tells the core
	frames []frame
}

type frame struct {
	to   string
	data []byte
}

// view is what a node makes of the election.
type view struct {
	term   uint64
	leader string
	won    bool // it is leader of the term
	leads  bool // it believes that it may act as such
}
