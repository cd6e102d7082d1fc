package boltjournal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

func openJournal(tb testing.TB, dir string, cfg Config) *Journal {
	tb.Helper()
	j, err := Open(dir, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, j.Close()) })
	return j
}

func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
	}{
		{"default", Config{}},
		{"many small steps", Config{sizes: sizes{prune: 3, read: 10}}},
		{"one by one", Config{sizes: sizes{prune: 1, read: 1}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := journaltest.Config{New: func(tb testing.TB) func() scheduler.Journal {
				tb.Helper()
				dir := tb.TempDir()
				var j *Journal
				return func() scheduler.Journal {
					if j != nil {
						require.NoError(tb, j.Close())
					}
					j = openJournal(tb, dir, test.cfg)
					return j
				}
			}}
			journaltest.Run(t, cfg)
		})
	}
}
