package raft

import "time"

// StartState returns the state that a node begins a run with: what the store
// holds with its incarnation counted up or, by cfg.Start, a new one under the
// store identity fresh. It is to be saved before NewCore.
func StartState(cfg Config, found Record, fresh StoreID) (HardState, error) {
	return HardState{}, nil
}

// NewCore returns a core that begins at now with a state from StartState. boot
// is drawn at random for each process.
func NewCore(cfg Config, state HardState, boot uint64, now time.Duration) (*Core, error) {
	return nil, nil
}

// Step handles one message.
func (c *Core) Step(now time.Duration, m Message) Effects { return Effects{} }

// Tick does what is due.
func (c *Core) Tick(now time.Duration) Effects { return Effects{} }

// Deadline returns when Tick is due next, Never if only a message can matter.
func (c *Core) Deadline() time.Duration { return Never }

// Campaign begins an election at once.
func (c *Core) Campaign(now time.Duration) (Effects, error) { return Effects{}, nil }

// Transfer ends the reign and asks the voter to campaign.
func (c *Core) Transfer(now time.Duration, to string) (Effects, error) { return Effects{}, nil }

// Resign is Transfer to the voter heard from last or, without one, StepDown.
func (c *Core) Resign(now time.Duration) (Effects, error) { return Effects{}, nil }

// StepDown ends the reign, if any, and follows.
func (c *Core) StepDown(now time.Duration) Effects { return Effects{} }

// AddMember adds a member that does not vote.
func (c *Core) AddMember(now time.Duration, m Member) (Effects, error) { return Effects{}, nil }

// RemoveMember removes a member other than the leader.
func (c *Core) RemoveMember(now time.Duration, id string) (Effects, error) { return Effects{}, nil }

// Promote makes a member a voter.
func (c *Core) Promote(now time.Duration, id string) (Effects, error) { return Effects{}, nil }

// Demote makes a voter other than the leader a member that does not vote.
func (c *Core) Demote(now time.Duration, id string) (Effects, error) { return Effects{}, nil }

// Role returns the role.
func (c *Core) Role() Role { return Follower }

// Leader returns who leads the term as far as this node knows, else "".
func (c *Core) Leader() string { return "" }

// Reign returns the end of the lease and whether a reign runs.
func (c *Core) Reign() (leaseEnd time.Duration, running bool) { return 0, false }

// PromisedUntil returns until when and to whom this node is bound.
func (c *Core) PromisedUntil() (time.Duration, string) { return 0, "" }
