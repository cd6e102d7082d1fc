package scheduler

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// Config of a scheduler. The zero value works: an in-memory scheduler on the
// system clock.
type Config struct {
	// Seed of the Random strategy. Two schedulers with the same seed that get
	// the same calls at the same state times decide the same.
	Seed uint64
	// Now is the clock; nil means time.Now. The state's time never decreases:
	// if the clock is set back, it runs at half pace until the clock has caught
	// up. How much time passes meanwhile is measured by the monotonic part of the
	// readings, or by their wall clock if they have none. Calls at a time after
	// the year 9999 are refused.
	Now func() time.Time
	// Hooks are called for every event.
	Hooks Hooks
	// Logger gets a line for each change of the state of a node, quota or reservation,
	// once it is durable, for each checkpoint, and for one of Run that fails; none for
	// what becomes of an instance, and none for what a call returns. scheduler/LOGS.md lists
	// them. It is called as Hooks are, without a lock. Nil: nothing is logged.
	Logger *slog.Logger
	// Weights of dimensions in the score, 1 to 64 each; a missing one is
	// placement.DefaultWeight: 2 for each GPU, 1 for everything else of a node.
	Weights map[placement.ResourceName]int64
	// Journal keeps every change durably; nil keeps nothing. A scheduler with
	// a journal comes from Open.
	Journal Journal
	// Token fences the journal: the term of the reign under which this
	// scheduler is allowed to write. 0 takes the highest that the journal has
	// seen plus one, for hosts without an election.
	Token uint64
	// Workload is the typical work to begin with, for the strategy
	// LeastFragmentation; SetWorkload changes it. A journal that is not empty has
	// its own.
	Workload []WorkloadClass
	// RequireQuota refuses instances of a namespace that has no quota while
	// there is no default one.
	RequireQuota bool
	// RequireReports keeps new work off a node that AddNode added until AdoptNode
	// has reported what runs there.
	RequireReports bool
	// RememberReleased is how many of the latest released IDs answer ErrReleased.
	// A delayed retry of a released placement then starts nothing, and a second
	// Release can be told from one of a wrong ID. 0 is off. Fewer are remembered
	// if they are longer than 256 bytes on average.
	RememberReleased int
	// CheckpointEntries is after how many entries Run appends a checkpoint, so that a
	// replay never has to read many more. 0 is no limit.
	CheckpointEntries int
	// CheckpointBytes is after how many bytes of entries it does. 0 is as many as the
	// last checkpoint has, but at least 4 MiB: so a checkpoint costs no more than the
	// entries did, however large the state is.
	CheckpointBytes int64

	engine index.Engine // of benchmarks
}

const maxDimensionWeight = 64

func (c Config) validate() error {
	errs := []error{validateMix(c.Workload)}
	for _, name := range slices.Sorted(maps.Keys(c.Weights)) {
		errs = append(errs, placement.Within("weights", placement.Resources{}.With(name, 1).Validate()))
		if weight := c.Weights[name]; weight < 1 || weight > maxDimensionWeight {
			errs = append(errs, &placement.InvalidError{
				Field: "weights." + string(name), Value: fmt.Sprint(weight), Reason: "want 1 to 64",
			})
		}
	}
	errs = append(errs,
		notNegative("rememberReleased", int64(c.RememberReleased)),
		notNegative("checkpointEntries", int64(c.CheckpointEntries)),
		notNegative("checkpointBytes", c.CheckpointBytes))
	return errors.Join(errs...)
}

func notNegative(field string, n int64) error {
	if n < 0 {
		return &placement.InvalidError{Field: field, Value: fmt.Sprint(n), Reason: "negative"}
	}
	return nil
}

// validateJournal holds the one of New and Open that is called to the journal.
func (c Config) validateJournal(opens bool) error {
	switch {
	case opens && c.Journal == nil:
		return &placement.InvalidError{Field: "journal", Reason: "missing: Open needs one"}
	case !opens && c.Journal != nil:
		return &placement.InvalidError{
			Field: "journal", Value: fmt.Sprintf("%T", c.Journal), Reason: "a scheduler with one comes from Open",
		}
	}
	return nil
}
