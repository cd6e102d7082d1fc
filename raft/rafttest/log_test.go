package rafttest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

func TestMemoryLogConforms(t *testing.T) {
	log := new(raft.MemoryLog)
	require.NoError(t, rafttest.CheckLog(func() raft.Log { return log }))
}

func TestFileLogConforms(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, rafttest.CheckLog(func() raft.Log { return &raft.FileLog{Dir: dir} }))
}

// A suite that passes every log is worth nothing.
func TestCheckLogFindsBrokenLogs(t *testing.T) {
	tests := []struct {
		name    string
		breakIt func(*brokenLog)
		want    string
	}{
		{"has no lock", func(l *brokenLog) { l.unlocked = true }, "exclude others"},
		{"is anybody's", func(l *brokenLog) { l.anybodys = true }, "belong to a store"},
		{"does not know that it is lost", func(l *brokenLog) { l.newborn = true }, "begin empty"},
		{"appends while closed", func(l *brokenLog) { l.careless = true }, "use while closed"},
		{"fails to append", func(l *brokenLog) { l.fault = errors.New("broken disk") }, "broken disk"},
		{"forgets data", func(l *brokenLog) { l.edit = func(e *raft.Entry) { e.Data = nil } }, "appended was"},
		{"never proves", func(l *brokenLog) { l.unproven = true }, "Unproven after Close"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := new(brokenLog)
			tt.breakIt(log)
			require.ErrorContains(t, rafttest.CheckLog(func() raft.Log { return log }), tt.want)
		})
	}
}

// brokenLog is a memory log with one mistake.
type brokenLog struct {
	raft.MemoryLog
	unlocked, anybodys, newborn, careless, unproven bool
	fault                                           error
	edit                                            func(*raft.Entry)
}

func (l *brokenLog) Open(store raft.StoreID, begun bool) (raft.StoredLog, error) {
	if l.unlocked {
		_ = l.Close()
	}
	if l.anybodys {
		store = raft.StoreID{1}
	}
	found, err := l.MemoryLog.Open(store, begun && !l.newborn)
	found.Unproven = l.unproven
	return found, err
}

func (l *brokenLog) Append(entries []raft.Entry) error {
	if l.fault != nil {
		return l.fault
	}
	if l.edit != nil {
		entries = slices.Clone(entries)
		for i := range entries {
			l.edit(&entries[i])
		}
	}
	err := l.MemoryLog.Append(entries)
	if l.careless {
		return nil
	}
	return err
}
