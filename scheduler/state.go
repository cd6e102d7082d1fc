package scheduler

import (
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// state is the pure core: everything a snapshot holds, and the index over it.
// Its decide methods look and change nothing; apply alone changes it.
type state struct {
	seq   uint64
	now   time.Time
	joins uint64 // the greatest join number given
	token uint64 // of the latest entry

	owner       *cow.Owner // of the records that may be changed in place; see state_own.go
	nodes       cow.Map[index.Row]
	byRow       cow.List[*node] // by index.Row; nil where there is none
	allocations cow.Map[*allocation]
	stale       map[string][]*allocation // replaced generations by ID, oldest first
	replaced    int                      // of these, how many
	leaving     int                      // instances that the index has joined as such
	released    releasedIDs
	evictions   evictions
	index       *index.Index
	asked       index.Query // the latest; see ask
	mix         []WorkloadClass
	capturing   [2]*capture // those under way; see parts.place
	captures    uint64      // begun so far
	captured    [2][]uint64 // by row: the latest of each place that has the node there
	undo        []*undo     // of the marks, the latest last
	visited     int         // records that were read for more than a decision, ever
	around      int         // nodes that decisions have looked at one by one, ever, outside of the index

	quota         quota.Accounts
	quotaVersions map[string]uint64 // of specs, by namespace

	plan     *reservation.Plan
	planned  rowSet                       // nodes on which the plan counts anything
	reserved rowSet                       // nodes on which it holds more than what runs
	payments map[string]reservationCharge // of reservations by ID
}

func newState(cfg Config) *state {
	st := &state{
		owner:    new(cow.Owner),
		stale:    make(map[string][]*allocation),
		released: releasedIDs{limit: cfg.RememberReleased},

		quota:         quota.Accounts{RequireQuota: cfg.RequireQuota},
		quotaVersions: make(map[string]uint64),

		plan:     reservation.NewPlan(),
		payments: make(map[string]reservationCharge),
		index: index.New(index.Config{
			Seed:    cfg.Seed,
			Weights: maps.Clone(cfg.Weights),
			Engine:  cfg.engine,
		}),
	}
	st.setMix(cloneMix(cfg.Workload))
	return st
}

// releasedBytes is how long released IDs may be on average.
const releasedBytes = 256

// releasedIDs remembers the last released IDs, up to a limit, and fewer if they
// are longer than releasedBytes on average.
type releasedIDs struct {
	limit int
	bytes int
	order []string // oldest first
	known cow.Map[bool]
}

// all returns the IDs, the oldest first. What it returns is not changed later.
func (r *releasedIDs) all() []string { return slices.Clip(r.order) }

func (r *releasedIDs) add(id string) {
	if r.limit == 0 || r.known.At(id) {
		return
	}
	r.order = append(r.order, id)
	r.known.Set(id, true)
	r.bytes += len(id)
	for len(r.order) > r.limit || (r.bytes-1)/releasedBytes >= r.limit {
		r.bytes -= len(r.order[0])
		r.known.Delete(r.order[0])
		r.order = r.order[1:] // append leaves what is before behind, now and then
	}
}
