package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/raft"
)

// Fault is something that goes wrong, or that somebody asks for at a bad moment.
type Fault uint8

// The kinds of faults.
const (
	// Crash ends a process; another begins, half of the time at once.
	Crash Fault = iota
	// CrashInSave ends a process in the middle of its next save.
	CrashInSave
	// SlowDisk has saves take up to twice the maximal election timeout.
	SlowDisk
	// BrokenDisk has the next save fail, which ends the process.
	BrokenDisk
	// Pause stops a process without telling it, like SIGSTOP.
	Pause
	// OneWayCut cuts one direction of a link.
	OneWayCut
	// SlowLink has one direction of a link take up to two maximal election timeouts, in
	// any order.
	SlowLink
	// Split divides the network in two.
	Split
	// Isolation cuts a node off, mostly the leader.
	Isolation
	// Storm makes the network lose, double, reorder and delay messages.
	Storm
	// Drift has a clock run at another rate.
	Drift
	// Stop ends a process in good order: a leader hands over.
	Stop
	// Transfer has the leader hand over to a member.
	Transfer
	// Resign has the leader hand over to anybody.
	Resign
	// Campaign has a node stand for election.
	Campaign
	// Add, Promote, Demote and Remove change the membership.
	Add
	Promote
	Demote
	Remove
	// Replace loses a disk; another takes its place under the same name.
	Replace
	// Restore puts a backup in the place of a disk.
	Restore
	// Echo has messages arrive once more, long after they were sent.
	Echo

	faultKinds = iota
)

// String returns the fault's name.
func (f Fault) String() string {
	names := [faultKinds]string{
		"crash", "crash in save", "slow disk", "broken disk", "pause", "one-way cut", "slow link", "split", "isolation", "storm",
		"drift", "stop", "transfer", "resign", "campaign", "add", "promote", "demote", "remove",
		"replace", "restore", "echo",
	}
	if int(f) < len(names) {
		return names[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// Faults returns all kinds.
func Faults() []Fault {
	all := make([]Fault, faultKinds)
	for i := range all {
		all[i] = Fault(i)
	}
	return all
}

// chaos brings faults into a world, and undoes them some time later.
type chaos struct {
	*World
	mix  Mix
	over bool
}

// run injects faults at random intervals until it is over.
func (c *chaos) run() {
	if c.over {
		return
	}
	c.inject(c.mix.draw(c.random))
	c.after(c.between(0, 2*c.mix.Every), c.run)
}

// inject brings about one fault, if it is possible now.
func (c *chaos) inject(f Fault) {
	n := c.nodes[c.random.IntN(len(c.nodes))]
	switch f {
	case Replace:
		c.replace(n)
	case Restore:
		c.restore(n)
	case Echo:
		c.echo()
	case Crash, CrashInSave, SlowDisk, BrokenDisk, Pause, Drift, Stop:
		c.injectInto(n, f)
	case OneWayCut, SlowLink, Split, Isolation, Storm:
		c.injectIntoNetwork(n, f)
	default:
		c.ask(n, f)
	}
}

// happens counts a fault that takes place.
func (c *chaos) happens(f Fault, who string) {
	c.counts.Faults[f]++
	c.transcript.write(c.now, "%v of %s", f, who)
}

// length draws how long a fault lasts.
func (c *chaos) length() time.Duration { return c.between(20*time.Millisecond, time.Second) }

// injectInto brings a fault to one node.
func (c *chaos) injectInto(n *member, f Fault) {
	if n.core == nil || n.paused {
		return
	}
	c.happens(f, n.cfg.ID)
	switch f {
	case Crash:
		n.crash()
	case CrashInSave:
		n.disk.cutNext = true
	case SlowDisk:
		n.disk.slowUntil = c.now + c.length()
		n.disk.slowest = 2 * n.cfg.ElectionTimeoutMax
	case BrokenDisk:
		n.disk.failNext = true
	case Pause:
		boot := n.boot
		n.pause()
		c.after(c.length(), func() {
			if n.boot == boot {
				n.resume()
			}
		})
	case Drift:
		n.drift()
	default: // Stop.
		n.whenFree(n.leave)
	}
}

// restart begins another process after one has ended.
func (c *chaos) restart(n *member) {
	downtime := time.Duration(0)
	if c.chance(50) {
		downtime = c.length()
	}
	c.after(downtime, n.start)
}

// injectIntoNetwork brings a fault to the network. Undoing one may mend what
// another has cut as well.
func (c *chaos) injectIntoNetwork(n *member, f Fault) {
	switch f {
	case OneWayCut:
		to := c.other(n)
		c.happens(f, n.cfg.ID+" to "+to)
		c.network.Cut(n.cfg.ID, to)
		c.after(c.length(), func() { c.network.Mend(n.cfg.ID, to) })
	case SlowLink:
		to := c.other(n)
		c.happens(f, n.cfg.ID+" to "+to)
		c.link(n.cfg.ID, to, faultnet.Faults{LatencyMax: c.between(n.cfg.ElectionTimeoutMin, n.cfg.ElectionTimeoutMax), Reordering: 500})
		c.after(c.length(), func() { c.link(n.cfg.ID, to, c.mix.Network) })
	case Split:
		var side []string
		chosen := 1 + c.random.IntN(1<<len(c.nodes)-2) // Neither none nor all.
		for i, m := range c.nodes {
			if chosen>>i&1 != 0 {
				side = append(side, m.cfg.ID)
			}
		}
		c.happens(f, fmt.Sprint(side))
		c.network.Partition(side)
		c.after(c.length(), func() { c.network.Partition() })
	case Isolation:
		id := n.cfg.ID
		if leader := c.Leader(); leader != "" && c.chance(75) {
			id = leader
		}
		c.happens(f, id)
		c.Isolate(id)
		c.after(c.length(), func() { c.Rejoin(id) })
	default: // Storm.
		c.happens(f, "the network")
		c.weather(c.mix.Storm)
		c.after(c.length(), func() { c.weather(c.mix.Network) })
	}
}

// ask has somebody ask for something. It happens if it is not refused.
func (c *chaos) ask(n *member, f Fault) {
	leader := c.Leader()
	if f == Campaign {
		c.request(n, f, "", (*raft.Core).Campaign)
		return
	}
	if leader == "" {
		return
	}
	l, id := c.node(leader), n.cfg.ID
	on := func(change func(*raft.Core, time.Duration, string) (raft.Effects, error)) request {
		return func(core *raft.Core, now time.Duration) (raft.Effects, error) { return change(core, now, id) }
	}
	switch f {
	case Transfer:
		c.request(l, f, id, on((*raft.Core).Transfer))
	case Resign:
		c.request(l, f, "", (*raft.Core).Resign)
	case Add:
		added := raft.Member{ID: id, Priority: -c.random.IntN(4), Witness: c.mix.Witnesses && c.chance(25)}
		c.request(l, f, id, func(core *raft.Core, now time.Duration) (raft.Effects, error) {
			return core.AddMember(now, added)
		})
	case Promote:
		c.request(l, f, id, on((*raft.Core).Promote))
	case Demote, Remove:
		if l.core == nil || l.core.Configuration().Voters() <= 2 && c.chance(75) {
			return // A single voter is not very interesting.
		}
		change := (*raft.Core).Demote
		if f == Remove {
			change = (*raft.Core).RemoveMember
		}
		c.request(l, f, id, func(core *raft.Core, now time.Duration) (raft.Effects, error) {
			if c.impaired() {
				return core.Tick(now), errImpaired
			}
			return change(core, now, id)
		})
	default:
	}
}

type request = func(core *raft.Core, now time.Duration) (raft.Effects, error)

// request calls a core and counts what it does not refuse.
func (c *chaos) request(n *member, f Fault, whom string, call request) {
	who := n.cfg.ID
	if whom != "" {
		who += " for " + whom
	}
	n.try(call, func() { c.happens(f, who) })
}

// other draws a node that is not n.
func (c *chaos) other(n *member) string {
	i := c.random.IntN(len(c.nodes) - 1)
	if i >= n.index {
		i++
	}
	return c.nodes[i].cfg.ID
}

// weather changes what the whole network does to messages.
func (c *chaos) weather(f faultnet.Faults) {
	if !c.over {
		c.err = errors.Join(c.err, c.network.SetFaults(f))
	}
}

// link changes what one direction of a link does to messages.
func (c *chaos) link(from, to string, f faultnet.Faults) {
	if !c.over {
		c.err = errors.Join(c.err, c.network.SetLink(from, to, f))
	}
}

// calm undoes all faults that have not been undone, and brings no more. The
// network becomes a good one.
func (c *chaos) calm() {
	c.transcript.write(c.now, "calm")
	c.network.Heal()
	c.weather(Good())
	c.over = true
	for _, n := range c.nodes {
		n.disk.slowUntil, n.disk.failNext, n.disk.cutNext = 0, false, false
		n.resume()
		n.start()
		c.mend(n)
	}
}
