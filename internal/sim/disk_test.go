package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

func TestDiskKeepsTheOldRecordOrTheNew(t *testing.T) {
	var d disk
	first := d.begin(raft.HardState{Term: 1}, 10)
	require.False(t, d.record.Found, "nothing is durable yet")
	require.True(t, d.runs(first))
	d.end(true)
	require.False(t, d.runs(first))
	require.Equal(t, uint64(1), d.record.State.Term)

	second := d.begin(raft.HardState{Term: 2}, 20)
	require.False(t, d.runs(first))
	require.True(t, d.runs(second))
	d.end(false)
	require.Equal(t, uint64(1), d.record.State.Term)
	require.True(t, d.record.Found)
}
