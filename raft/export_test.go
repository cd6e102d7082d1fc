package raft

import "slices"

// clone returns a core that goes its own way from here. The two share the
// source of their timeouts.
func (c *Core) clone() *Core {
	d := *c
	d.out = Effects{}
	d.peers = slices.Clone(c.peers)
	d.reign.rounds = slices.Clone(c.reign.rounds)
	return &d
}
