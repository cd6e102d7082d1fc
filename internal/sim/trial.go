package sim

import (
	"errors"
	"time"

	"github.com/rads-project/constellation/raft"
)

// Trial is a world of one mix under one seed, with faults for some time and then
// calm.
type Trial struct {
	Seed uint64
	Mix  Mix
	// Faulty is how long faults come.
	Faulty time.Duration
	// Logs, Prepare, SendBeforeSave, MayOverlap and Transcript are those of Config. With
	// Logs commands are proposed all the time.
	Logs           bool
	Prepare        func(c *raft.Core)
	SendBeforeSave bool
	MayOverlap     bool
	Transcript     bool
}

// Result is what a trial leaves behind.
type Result struct {
	Hash       uint64
	Counts     Counts
	Transcript []string
}

// Run carries out the trial. An error is a *OracleError, but for a trial that
// cannot begin.
func (t Trial) Run() (Result, error) {
	cfg := t.Mix.config(t.Seed)
	cfg.Prepare, cfg.SendBeforeSave = t.Prepare, t.SendBeforeSave
	cfg.MayOverlap, cfg.Transcript, cfg.Logs = t.MayOverlap, t.Transcript, t.Logs
	w, err := New(cfg)
	if err != nil {
		return Result{}, err
	}
	c := &chaos{World: w, mix: t.Mix}
	w.ended = c.restart
	w.after(0, c.run)
	if t.Logs {
		w.after(0, c.propose)
		w.after(0, c.compact)
	}
	w.Run(t.Faulty)
	if w.err == nil {
		c.calm()
		w.Settle()
	}
	w.counts.Simulated = w.now
	if v, broken := errors.AsType[*OracleError](w.err); broken {
		v.Mix = t.Mix.Name
	}
	return Result{Hash: w.Hash(), Counts: w.counts, Transcript: w.transcript.lines}, w.err
}

// Settle checks O9 in a world without faults in which a majority of the voters
// is up and connected: within ten maximal election timeouts somebody leads, and
// nothing changes for twenty more.
func (w *World) Settle() {
	longest := time.Duration(0)
	for _, n := range w.nodes {
		longest = max(longest, n.cfg.ElectionTimeoutMax)
	}
	w.Run(10 * longest)
	leader, reigns := w.Leader(), w.counts.Reigns
	if w.err == nil && leader == "" {
		w.oracle.breaks("O9", "nobody leads after %v of calm", 10*longest)
	}
	w.Run(20 * longest)
	switch {
	case w.err != nil:
	case w.Leader() != leader || w.counts.Reigns != reigns:
		w.oracle.breaks("O9", "%s leads in calm, later %q", leader, w.Leader())
	case !w.agreed():
		w.oracle.breaks("O9", "a member does not follow %s in calm", leader)
	default:
		w.oracle.settled()
	}
}

// agreed reports whether all members, as the leader knows them, follow it.
func (w *World) agreed() bool {
	leader := w.node(w.Leader()).core
	for _, m := range leader.Configuration().Members {
		follower := w.node(m.ID).core
		if follower == nil || follower.Leader() != leader.ID() || follower.Term() != leader.Term() {
			return false
		}
	}
	return true
}
