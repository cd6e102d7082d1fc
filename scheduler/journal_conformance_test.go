package scheduler_test

import (
	"testing"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

func TestMemoryJournalConforms(t *testing.T) {
	journaltest.Run(t, journaltest.Config{
		New: func(testing.TB) func() scheduler.Journal {
			shared := new(scheduler.MemoryJournal)
			return func() scheduler.Journal { return shared }
		},
		Shared: true,
	})
}
