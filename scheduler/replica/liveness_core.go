package replica

import (
	"maps"
	"slices"
	"time"
)

// watch judges nodes by their heartbeats. It is the pure core of Liveness: it gets
// the time as an argument and starts nothing.
//
// Silence counts only while somebody listens. So when a reign begins, and when the
// watcher was not there in time for a look, whoever was silent gets a grace; and who
// looks too late each time judges nobody.
type watch struct {
	cfg   LivenessConfig
	heard map[string]time.Time // of nodes that are judged: when they were heard last
	lost  []loss               // of the last minute, oldest first
	saved time.Time            // of the last look; zero before the first
	halt  *Halt                // nil while nodes are marked
	given map[string]bool      // silent nodes that a person has given up
}

// loss is a node that was marked as lost.
type loss struct {
	node string
	at   time.Time
}

// lossWindow is the time over which losses are counted against the limit.
const lossWindow = time.Minute

// verdict is what a look comes to.
type verdict struct {
	lost    []string // to be marked, by ID
	paused  bool     // the watcher was not there in time
	halted  bool     // more nodes are silent than may be lost: from now on none is
	resumed bool     // that is over
}

func newWatch(cfg LivenessConfig) *watch {
	return &watch{cfg: cfg, heard: make(map[string]time.Time), given: make(map[string]bool)}
}

// begin begins a reign: who is ready is judged from now on, after the grace.
func (w *watch) begin(now time.Time, ready []string) {
	w.heard, w.lost, w.halt = make(map[string]time.Time), nil, nil
	w.given, w.saved = make(map[string]bool), now
	w.expect(now, ready)
}

// expect judges exactly these nodes from now on. Those that it does not know get the
// grace.
func (w *watch) expect(now time.Time, ready []string) {
	heard := make(map[string]time.Time, len(ready))
	for _, id := range ready {
		at, known := w.heard[id]
		if !known {
			at = w.excused(now)
		}
		heard[id] = at
	}
	w.heard = heard
	maps.DeleteFunc(w.given, func(id string, _ bool) bool { _, known := heard[id]; return !known })
}

// excused is when a node has to have been heard so that its silence ends the grace.
func (w *watch) excused(now time.Time) time.Time { return now.Add(w.cfg.Grace - w.cfg.TTL) }

// beat notes that a node was heard.
func (w *watch) beat(now time.Time, id string) {
	if at := w.heard[id]; now.After(at) {
		w.heard[id] = now
	}
	delete(w.given, id)
}

// interval is how often to look.
func (c LivenessConfig) interval() time.Duration { return max(c.TTL/10, time.Millisecond) }

// late reports whether a look is so late that the watcher cannot have listened all
// the time: by either clock, of which the one may stand still while the machine is
// suspended, and the other may be set.
func (w *watch) late(now time.Time) bool {
	return w.cfg.late(now.Sub(w.saved), now.Round(0).Sub(w.saved.Round(0)))
}

// late is the same by what has passed on the monotonic clock, and on the other.
func (c LivenessConfig) late(passed, shown time.Duration) bool {
	return passed < 0 || max(passed, shown) > 2*c.interval()
}

// look judges the nodes. Whoever it says is lost is judged no more until it is
// expected again.
func (w *watch) look(now time.Time) verdict {
	var v verdict
	if w.late(now) {
		v.paused = true
		for id, at := range w.heard {
			if excused := w.excused(now); at.Before(excused) || now.Before(w.saved) { // all that was heard counts from there
				w.heard[id] = excused
			}
		}
	}
	w.saved = now
	w.lost = slices.DeleteFunc(w.lost, func(l loss) bool { return now.Sub(l.at) >= lossWindow })
	silent := w.silent(now)
	given := slices.DeleteFunc(slices.Clone(silent), func(id string) bool { return !w.given[id] })
	switch others := len(silent) - len(given); {
	case others+len(w.lost) <= w.limit():
		v.lost, v.resumed = silent, w.halt != nil
		w.halt = nil
	default:
		v.lost, v.halted = given, w.halt == nil
		if w.halt == nil {
			w.halt = &Halt{Since: now}
		}
		w.halt.Silent = slices.DeleteFunc(silent, func(id string) bool { return w.given[id] })
		w.halt.Limit = w.limit()
	}
	for _, id := range v.lost {
		if !w.given[id] {
			w.lost = append(w.lost, loss{id, now})
		}
		delete(w.heard, id)
		delete(w.given, id)
	}
	return v
}

// silent returns the nodes that were not heard for the TTL, by ID.
func (w *watch) silent(now time.Time) []string {
	var silent []string
	for id, at := range w.heard {
		if now.Sub(at) >= w.cfg.TTL {
			silent = append(silent, id)
		}
	}
	slices.Sort(silent)
	return silent
}

// limit is how many nodes may be lost in a minute.
func (w *watch) limit() int {
	if w.cfg.MaxLost > 0 {
		return w.cfg.MaxLost
	}
	return max(1, (len(w.heard)+len(w.lost))*w.cfg.MaxLostPercent/100)
}

// giveUp has a person say that nodes are lost which nobody hears. It returns which.
func (w *watch) giveUp(now time.Time) []string {
	silent := w.silent(now)
	for _, id := range silent {
		w.given[id] = true
	}
	return silent
}
