package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

func TestQueueIsInOrderOfTimeThenOfScheduling(t *testing.T) {
	var q queue
	require.Equal(t, raft.Never, q.next())
	var happened []int
	for i, at := range []time.Duration{30, 10, 20, 10, 30, 10} {
		q.add(at).run = func() { happened = append(happened, i) }
	}
	for q.next() != raft.Never {
		e := q.take()
		e.run()
		q.done(e)
	}
	require.Equal(t, []int{1, 3, 5, 2, 0, 4}, happened)

	e := q.add(1) // One that has been used.
	require.Len(t, q.idle, 5)
	require.Nil(t, e.run)
	require.Nil(t, e.node)
}
