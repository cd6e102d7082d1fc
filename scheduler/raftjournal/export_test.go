package raftjournal

import (
	"time"

	"github.com/rads-project/constellation/raft"
)

// NewWithClock is New with another clock.
func NewWithClock(cfg raft.Config, now func() time.Duration) (*Journal, *raft.Node, error) {
	return build(cfg, func(cfg raft.Config) (*raft.Node, error) { return raft.NewWithClock(cfg, now) })
}
