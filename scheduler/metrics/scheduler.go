package metrics

import (
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

const prefix = "constellation_scheduler_"

func gauge(name, help, unit string, read func(*look) float64) family {
	return family{
		Family: Family{Name: name, Help: help, Kind: Gauge, Unit: unit},
		read:   func(l *look, emit func(float64, ...string)) { emit(read(l)) },
	}
}

func counter(name, help, unit string, read func(*look) uint64) family {
	return family{
		Family: Family{Name: name, Help: help, Kind: Counter, Unit: unit},
		read:   func(l *look, emit func(float64, ...string)) { emit(float64(read(l))) },
	}
}

// flag is 1 for true.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// The bounds of a histogram of times, from a microsecond to four seconds, and of one of
// sizes, from 1 to 4,096.
const (
	firstTime, lastTime = 5, 17
	lastSize            = 7
	nanosecond          = 1e-9
)

// schedulerFamilies are read from Stats.
func schedulerFamilies() []family {
	return []family{
		gauge(prefix+"up", "Whether the state of the scheduler can be read", "", func(l *look) float64 { return flag(l.readable == nil) }),
		{
			Family: Family{
				Name: prefix + "decisions", Kind: Counter, Labels: []string{"result", "reason"},
				Help: "Decisions by result, and of those that no node fits by what refused the most nodes",
			},
			read: readDecisions,
		},
		{
			Family: Family{Name: prefix + "decision_seconds", Kind: Histogram, Unit: "seconds", Help: "Time of one decision in 16, without the wait for the lock and the journal"},
			hist: func(l *look) (scheduler.Histogram, float64, int, int) {
				return l.stats.Decisions.Time, nanosecond, firstTime, lastTime
			},
		},
		gauge(prefix+"instances", "Instances on the books", "", func(l *look) float64 { return float64(l.stats.Allocations) }),
		gauge(prefix+"stale_instances", "Replaced generations that still hold capacity", "", func(l *look) float64 { return float64(l.stats.Stale) }),
		gauge(prefix+"evictions_scheduled", "Evictions that are to come because of a taint", "", func(l *look) float64 { return float64(l.stats.Evictions) }),
		gauge(prefix+"evictions_overdue", "Instances that have been told to go, or left behind by a move, and are still there", "", func(l *look) float64 { return float64(l.stats.Leaving) }),

		counter(prefix+"journal_appends", "Appends of entries that succeeded", "", func(l *look) uint64 { return l.stats.Journal.Appends }),
		counter(prefix+"journal_entries", "Entries that were appended", "", func(l *look) uint64 { return l.stats.Journal.Entries }),
		counter(prefix+"journal_written_bytes", "Bytes of entries that were appended", "bytes", func(l *look) uint64 { return l.stats.Journal.Bytes }),
		{
			Family: Family{Name: prefix + "journal_append_seconds", Kind: Histogram, Unit: "seconds", Help: "Time of an append of entries that succeeded"},
			hist: func(l *look) (scheduler.Histogram, float64, int, int) {
				return l.stats.Journal.Time, nanosecond, firstTime, lastTime
			},
		},
		{
			Family: Family{Name: prefix + "journal_batch_entries", Kind: Histogram, Help: "Entries of an append"},
			hist:   func(l *look) (scheduler.Histogram, float64, int, int) { return l.stats.Journal.Batch, 1, 0, lastSize },
		},
		gauge(prefix+"journal_queue_entries", "Entries that are not durable yet", "", func(l *look) float64 { return float64(l.stats.Version - l.stats.Durable) }),
		gauge(prefix+"journal_waiting_calls", "Calls that wait for an append", "", func(l *look) float64 { return float64(l.stats.Waiting) }),
		gauge(prefix+"journal_append_age_seconds", "For how long the append under way has been, 0 if there is none", "seconds", readAppendAge),

		counter(prefix+"checkpoints", "Checkpoints that were appended", "", func(l *look) uint64 { return l.stats.Checkpoint.Written }),
		counter(prefix+"checkpoint_failures", "Checkpoints that failed", "", func(l *look) uint64 { return l.stats.Checkpoint.Failures }),
		gauge(prefix+"checkpoint_bytes", "Size of the last checkpoint", "bytes", func(l *look) float64 { return float64(l.stats.Checkpoint.Snapshot) }),
		gauge(prefix+"replay_entries", "Entries since the last checkpoint", "", func(l *look) float64 { return float64(l.stats.Checkpoint.Entries) }),
		gauge(prefix+"replay_bytes", "Bytes of entries since the last checkpoint", "bytes", func(l *look) float64 { return float64(l.stats.Checkpoint.Bytes) }),
	}
}

func readDecisions(l *look, emit func(float64, ...string)) {
	d := l.stats.Decisions
	named := uint64(0)
	for kind := placement.ReasonState; kind <= placement.ReasonHold; kind++ {
		named += d.Reasons[kind]
		emit(float64(d.Reasons[kind]), "unschedulable", kind.String())
	}
	emit(float64(d.Unschedulable-named), "unschedulable", "no-nodes")
	emit(float64(d.Placed), "placed", "")
	emit(float64(d.Existing), "existing", "")
	emit(float64(d.QuotaExceeded), "quota-exceeded", "")
	emit(float64(d.Refused), "refused", "")
}

func readAppendAge(l *look) float64 {
	if l.stats.Appending.IsZero() {
		return 0
	}
	return max(0, l.now.Sub(l.stats.Appending)).Seconds()
}

// seconds is a time as the value of a sample.
func seconds(d time.Duration) float64 { return d.Seconds() }
