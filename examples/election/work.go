package main

import (
	"fmt"
	"os"
	"time"

	"github.com/rads-project/constellation/raft"
)

// workInterval is the time between two writes of a leader.
const workInterval = 10 * time.Millisecond

// work is what only the leader does. It writes its token again and again to two
// places, to show what each is worth:
//
//   - A journal takes what it gets. Leaders do not write to it in turns. But one
//     that is paused between looking at its lease and writing makes that one
//     write late, when another leads.
//   - A register refuses a token that is lower than the highest that it has seen,
//     in the same step in which it would take it. No late write gets in.
type work struct {
	name     string
	journal  *os.File // nil: none
	register string   // its address; empty: none
}

// do works until the leadership ends or the work fails.
func (w *work) do(l *raft.Leadership) error {
	var r *register
	if w.register != "" {
		var err error
		if r, err = dialRegister(l.Context(), w.register); err != nil {
			return err
		}
		defer r.close()
	}
	ticker := time.NewTicker(workInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.Context().Done():
			return nil
		case <-ticker.C:
		}
		if err := w.write(l, r); err != nil {
			return err
		}
	}
}

// write makes one write to each of the two, if the lease runs.
func (w *work) write(l *raft.Leadership, r *register) error {
	begun := time.Now()
	if !l.Valid() {
		return nil
	}
	// From here on a pause can make the writes late, however short the code is.
	if w.journal != nil {
		if _, err := fmt.Fprintf(w.journal, "%d %s %d\n", l.Term(), w.name, begun.UnixNano()); err != nil {
			return err
		}
	}
	if r != nil {
		return r.write(l.Term(), w.name)
	}
	return nil
}
