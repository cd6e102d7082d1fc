package raft

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// IsLeader and Leads may be asked before each effect, by any number of goroutines:
// they wait for nobody who holds the node's lock.
func TestLooksTakeNoLock(t *testing.T) {
	n := &Node{now: func() time.Duration { return 0 }}
	r := newReign(1, time.Hour, time.Hour, n.now, func(*reign) {})
	n.leading.Store(r)
	l := &Leadership{node: n, reign: r}
	l.ctx = context.WithValue(t.Context(), leadershipKey{}, l)
	n.mu.Lock()
	defer n.mu.Unlock()
	looked := make(chan bool)
	go func() { looked <- n.IsLeader() && Leads(l.ctx) && l.Valid() }()
	select {
	case leads := <-looked:
		require.True(t, leads)
	case <-time.After(time.Minute):
		t.Fatal("a look waits for the lock")
	}
}
