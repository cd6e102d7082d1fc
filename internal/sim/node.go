package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rads-project/constellation/raft"
)

// member is a disk, and at most one process, which carries out the
// effects of its core as raft's shell does.
type member struct {
	world *World
	index int
	// witness is whether it began as one, and so whether its replacement is one.
	witness bool
	cfg     raft.Config
	disk    disk
	log     journal      // with Config.Logs
	store   raft.StoreID // that a new disk gets

	wiped    bool   // the disk is lost, and there is no other yet
	restored bool   // the disk holds a backup
	newest   uint64 // incarnation, if restored

	up   bool
	boot uint64 // counts the processes
	clock
	core     *raft.Core // nil until the process has saved its incarnation
	paused   bool       // like SIGSTOP: everything waits, and the clock runs on
	saving   bool       // rule 13: nothing is stepped meanwhile
	finished func()     // the save, if it ended while paused
	inbox    []*event   // what waits until the process is free
	told     int        // of which the first are of its own disk and application
	messages []raft.Message
	deadline time.Duration // of the core, on the clock
	due      time.Duration // deadline in true time

	led      uint64        // the reign that the application knows, 0 if none
	leaseEnd time.Duration // on the clock
	leaving  uint64        // the term handed over before the process ends, or 0
}

func newNode(w *World, index int, start raft.Start) *member {
	n := &member{world: w, index: index, store: raft.StoreID{byte(index + 1)}, cfg: raft.Config{
		ID: nodeID(index), Cluster: "sim", Start: start,
		ElectionTimeoutMin: 150 * time.Millisecond,
		ElectionTimeoutMax: 300 * time.Millisecond,
		HeartbeatInterval:  50 * time.Millisecond,
	}}
	if w.cfg.Configure != nil {
		w.cfg.Configure(index, &n.cfg)
	}
	return n
}

// start begins a process, once the disk is free.
func (n *member) start() {
	w := n.world
	switch {
	case n.up || n.wiped:
		return
	case n.disk.busy:
		w.after(n.disk.freeAt-w.now, n.start)
		return
	}
	state, err := raft.StartState(n.cfg, n.disk.record, n.store)
	if err != nil {
		w.err = err
		return
	}
	w.transcript.write(w.now, "%s starts in term %d", n.cfg.ID, state.Term)
	w.counts.Starts++
	n.up, n.boot = true, n.boot+1
	n.clock = clock{since: w.now, base: w.between(0, time.Hour), ppm: w.rate()}
	n.save(state, func() {
		n.saving = false
		n.begin(state)
	})
}

// begin runs the core from what is durable now.
func (n *member) begin(state raft.HardState) {
	w := n.world
	n.cfg.Rand = rand.NewPCG(w.cfg.Seed, n.boot<<8|uint64(n.index)+1)
	var core *raft.Core
	var err error
	if w.cfg.Logs {
		core, err = raft.NewCoreWithLog(n.cfg, state, n.log.start(w.now), w.random.Uint64(), n.local(w.now))
	} else {
		core, err = raft.NewCore(n.cfg, state, w.random.Uint64(), n.local(w.now))
	}
	if err != nil {
		w.err = err
		return
	}
	if w.cfg.Prepare != nil {
		w.cfg.Prepare(core)
	}
	n.core, n.deadline = core, -1
	n.restore(n.log.kept)
	w.oracle.started(n)
	n.arm()
}

// drift makes the clock run at another rate.
func (n *member) drift() {
	n.expire()
	n.setRate(n.world.now, n.world.rate())
	n.deadline = -1
	n.arm()
}

// free reports whether the core can be stepped.
func (n *member) free() bool { return n.core != nil && !n.paused && !n.saving }

// arm notes when the core's deadline comes.
func (n *member) arm() {
	if n.core == nil || n.core.Deadline() == n.deadline {
		return
	}
	n.deadline, n.due = n.core.Deadline(), raft.Never
	if n.deadline != raft.Never {
		n.due = n.truly(n.deadline)
	}
}

func (n *member) tick() { n.perform(n.core.Tick(n.local(n.world.now))) }

// receive takes a message, now or when the process is free.
func (n *member) receive(e *event) {
	switch {
	case n.core == nil:
		n.world.events.done(e)
	case n.free():
		n.take(e)
	default:
		n.inbox = append(n.inbox, e)
	}
}

func (n *member) take(e *event) {
	if e.run != nil {
		e.run()
	} else {
		n.perform(n.core.Step(n.local(n.world.now), e.message))
	}
	n.world.events.done(e)
}

// drain takes what has been waiting.
func (n *member) drain() {
	for n.free() && len(n.inbox) > 0 {
		e := n.inbox[0]
		n.inbox = slices.Delete(n.inbox, 0, 1)
		n.told = max(0, n.told-1)
		n.take(e)
	}
}

// whenFree does something within the process, now or when it is free.
func (n *member) whenFree(run func()) {
	switch {
	case n.core == nil:
	case n.free():
		run()
	default:
		e := n.world.events.blank()
		e.run = run
		n.inbox = append(n.inbox, e)
	}
}

// try calls the core for something that it may refuse. done, if not nil, is
// called if it does not.
func (n *member) try(call func(c *raft.Core, now time.Duration) (raft.Effects, error), done func()) {
	n.whenFree(func() {
		effects, err := call(n.core, n.local(n.world.now))
		n.perform(effects)
		if err == nil && done != nil {
			done()
		}
	})
}

// perform carries out effects in the order of rule 12: losses, save, gains,
// messages.
func (n *member) perform(effects raft.Effects) {
	w := n.world
	w.oracle.stepped(n)
	if effects.Lost != 0 {
		w.oracle.lost(n, effects.Lost)
		n.endReign()
	}
	if w.cfg.SendBeforeSave {
		n.sendAll(effects.Messages)
		effects.Messages = nil
	}
	if !effects.Save {
		n.finish(effects)
		return
	}
	n.messages = append(n.messages[:0], effects.Messages...)
	effects.Messages = n.messages
	n.save(effects.State, func() {
		n.saving = false
		n.finish(effects)
		n.drain()
	})
}

// finish does what had to wait for the save, and what follows from it.
func (n *member) finish(effects raft.Effects) {
	w := n.world
	n.appendLog(effects.Append)
	n.restore(effects.Restore)
	n.apply(effects.Commit)
	n.receiveChunk(effects.Chunk)
	n.compactLog(effects.Compact)
	if effects.Led != 0 {
		n.lead(effects.Led)
	}
	n.sendAll(effects.Messages)
	if n.agrees() {
		w.oracle.check(n)
		n.arm()
	} else {
		n.perform(n.core.StepDown(n.local(w.now)))
	}
	if n.leaving != 0 && n.core.Term() > n.leaving && n.core.Leader() != "" {
		n.exit()
	}
}

func (n *member) sendAll(messages []raft.Message) {
	for i := range messages {
		if m := &messages[i]; m.Kind == raft.InstallSnapshot {
			copy(m.Chunk, n.log.images[m.Snapshot].contents()[m.Offset:])
		}
		n.world.send(n, &messages[i])
	}
}

// save writes a state to the disk and calls done when that is durable and the
// process runs. Something else may happen to the process first.
func (n *member) save(state raft.HardState, done func()) {
	w, boot := n.world, n.boot
	takes := w.between(w.cfg.SaveMin, w.cfg.SaveMax)
	if w.now < n.disk.slowUntil {
		takes = w.between(w.cfg.SaveMax, n.disk.slowest)
	}
	n.saving = true
	save := n.disk.begin(state, w.now+takes)
	// within has something happen to the process while it saves, unless it is
	// paused and notices nothing.
	within := func(d time.Duration, run func()) {
		if d < takes {
			w.after(d, func() {
				if n.boot == boot && n.up && !n.paused && n.disk.runs(save) {
					run()
				}
			})
		}
	}
	if n.disk.cutNext {
		n.disk.cutNext = false
		within(w.between(0, takes), n.crash)
	}
	within(n.cfg.ElectionTimeoutMin/2, func() {
		w.counts.SlowSaves++
		n.endReign()
	})
	within(n.cfg.ElectionTimeoutMax, func() {
		w.counts.StalledSaves++
		n.exit()
	})
	w.after(takes, func() {
		switch {
		case !n.disk.runs(save):
		case n.boot != boot || !n.up: // Given up, but the disk went on.
			n.disk.end(true)
		case n.disk.failNext:
			n.disk.failNext = false
			w.counts.FailedSaves++
			n.crash()
		default:
			n.disk.end(true)
			w.oracle.saved(n)
			w.counts.Saves++
			n.saved(done)
		}
	})
}

// saved goes on after a save, once the process runs.
func (n *member) saved(done func()) {
	if n.paused {
		n.finished = done
		return
	}
	done()
}

// pause stops the process without telling it.
func (n *member) pause() {
	n.world.transcript.write(n.world.now, "%s is paused", n.cfg.ID)
	n.paused = true
}

// resume lets a paused process go on. All that it missed comes at once.
func (n *member) resume() {
	if !n.paused {
		return
	}
	n.world.transcript.write(n.world.now, "%s goes on", n.cfg.ID)
	n.paused = false
	if done := n.finished; done != nil {
		n.finished = nil
		done()
	}
	n.drain()
}

// leave ends the process in good order: a leader hands over first.
func (n *member) leave() {
	w := n.world
	term := n.core.Term()
	effects, _ := n.core.Resign(n.local(w.now))
	asked := slices.ContainsFunc(effects.Messages, func(m raft.Message) bool { return m.Kind == raft.TimeoutNow })
	n.perform(effects)
	if !asked {
		n.whenFree(n.exit)
		return
	}
	n.leaving = term
	boot := n.boot
	w.after(n.cfg.ElectionTimeoutMax, func() {
		if n.boot == boot {
			n.whenFree(n.exit)
		}
	})
}

// crash ends the process at once. A save that it cuts short may have been done.
func (n *member) crash() {
	if !n.up {
		return
	}
	if n.disk.busy {
		written := n.world.chance(50)
		n.world.counts.cut(written)
		n.disk.end(written)
	}
	n.exit()
}

// exit ends the process.
func (n *member) exit() {
	if !n.up {
		return
	}
	w := n.world
	w.transcript.write(w.now, "%s ends", n.cfg.ID)
	if len(n.log.writing) > 0 {
		n.log.cut(w.random.IntN(n.log.size() + 1))
	}
	n.endReign()
	for _, e := range n.inbox {
		w.events.done(e)
	}
	n.inbox, n.told = n.inbox[:0], 0
	n.up, n.core, n.paused, n.saving, n.finished, n.leaving = false, nil, false, false, nil, 0
	if w.ended != nil {
		w.ended(n)
	}
}
