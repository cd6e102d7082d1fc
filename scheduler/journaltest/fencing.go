package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rads-project/constellation/scheduler"
)

func fencingChecks() []check {
	return []check{
		{"AcquireExcludes", "Acquire refuses a token that is lower than or equal to the highest it has seen, with a " +
			"FencedError that tells it, also after a restart.", acquireExcludes},
		{"AcquireJumps", "Any higher token can be acquired, up to the greatest there is.", func(r *rig) error {
			const greatest = 1<<64 - 1
			err := errors.Join(r.acquire(3), r.acquire(1<<40), r.acquire(1<<63), r.acquire(greatest))
			if err != nil {
				return err
			}
			r.reopen()
			return refused(r.journal.Acquire(r.ctx, 1<<63), 1<<63, greatest)
		}},
		{"AppendNeedsAcquire", "Append refuses a token that was not acquired, lower or higher, and appends nothing.", appendNeedsAcquire},
		{"DeposedCannotAppend", "Once a higher token has been acquired, no append of a lower one gets through, " +
			"whatever its host believes, and it appends nothing.", deposedCannotAppend},
		{"DeposedSnapshot", "A snapshot is fenced like an entry, and deletes nothing then.", deposedSnapshot},
		{"FencedBatch", "A batch that is refused leaves no record behind, and no gap.", func(r *rig) error {
			err := errors.Join(r.acquire(1), r.append(1, entry(1)), r.acquire(2))
			if err != nil {
				return err
			}
			batch := append(entries(2, 300), snapshot(300))
			if err := refused(r.journal.Append(r.ctx, 1, batch), 1, 2); err != nil {
				return err
			}
			return errors.Join(r.holds(entry(1)), r.append(2, entry(2)), r.holdsAfterRestart(entries(1, 2)...))
		}},
		{"TakeOver", "While one host appends, another acquires: every append before that is there, " +
			"none after it.", takeOver},
		{"RaceForTheToken", "Of several hosts that acquire the same token at once, one gets it.", raceForTheToken},
	}
}

func acquireExcludes(r *rig) error {
	if err := r.acquire(5); err != nil {
		return err
	}
	for range 2 {
		for _, token := range []uint64{0, 1, 4, 5} {
			if err := refused(r.journal.Acquire(r.ctx, token), token, 5); err != nil {
				return fmt.Errorf("Acquire(%d) after Acquire(5): %w", token, err)
			}
		}
		r.reopen()
	}
	return r.acquire(6)
}

func appendNeedsAcquire(r *rig) error {
	for _, token := range []uint64{1, 7} {
		if err := refused(r.journal.Append(r.ctx, token, entries(1, 1)), token, 0); err != nil {
			return fmt.Errorf("Append(%d) before any Acquire: %w", token, err)
		}
	}
	if err := r.acquire(4); err != nil {
		return err
	}
	for _, token := range []uint64{0, 3, 5} {
		if err := refused(r.journal.Append(r.ctx, token, entries(1, 1)), token, 4); err != nil {
			return fmt.Errorf("Append(%d) after Acquire(4): %w", token, err)
		}
	}
	// The token outlives a restart of the host that holds it.
	return errors.Join(r.append(4, entry(1)), r.holdsAfterRestart(entry(1)), r.append(4, entry(2)), r.holds(entries(1, 2)...))
}

func deposedCannotAppend(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entry(1))); err != nil {
		return err
	}
	old := r.journal
	r.journal = r.successor()
	if err := errors.Join(r.acquire(2), r.holds(entry(1))); err != nil {
		return err
	}
	for range 2 {
		if err := refused(old.Append(r.ctx, 1, entries(2, 2)), 1, 2); err != nil {
			return err
		}
		// Nor an append of nothing: its host would take the answer for a yes.
		if err := refused(old.Append(r.ctx, 1, nil), 1, 2); err != nil {
			return fmt.Errorf("no records: %w", err)
		}
		if err := refused(old.Acquire(r.ctx, 1), 1, 2); err != nil {
			return err
		}
	}
	if err := errors.Join(r.append(2, entry(2)), r.holds(entries(1, 2)...)); err != nil {
		return err
	}
	r.reopen()
	return errors.Join(refused(r.journal.Append(r.ctx, 1, entries(3, 3)), 1, 2), r.holds(entries(1, 2)...))
}

func deposedSnapshot(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 5)...), r.acquire(2)); err != nil {
		return err
	}
	late := []scheduler.Record{snapshot(4)}
	if err := refused(r.journal.Append(r.ctx, 1, late), 1, 2); err != nil {
		return err
	}
	for _, part := range parts(4, 2) {
		if err := refused(r.journal.Append(r.ctx, 1, []scheduler.Record{part}), 1, 2); err != nil {
			return fmt.Errorf("part %d: %w", part.Part, err)
		}
	}
	return r.holdsAfterRestart(entries(1, 5)...)
}

func takeOver(r *rig) error {
	if err := r.acquire(1); err != nil {
		return err
	}
	old := busyHost{journal: r.journal, ctx: r.ctx, started: make(chan struct{}), succeeded: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(old.run)
	<-old.started
	r.journal = r.successor()
	err := r.acquire(2)
	close(old.succeeded)
	atOnce, readErr := read(r.ctx, r.journal)
	running.Wait()
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	if err := refused(old.last, 1, 2); err != nil {
		return fmt.Errorf("append of the deposed host: %w", err)
	}
	if err := same(atOnce, entries(1, old.appended)); err != nil {
		return fmt.Errorf("read right after Acquire, with %d entries acknowledged to the deposed host: %w", old.appended, err)
	}
	return errors.Join(r.append(2, entry(old.appended+1)), r.holdsAfterRestart(entries(1, old.appended+1)...))
}

// busyHost appends pairs of entries under token 1 until it is refused. A store
// whose lock is not fair may let nobody in while it does, so after a while it
// waits for the successor.
type busyHost struct {
	journal   scheduler.Journal
	ctx       context.Context
	started   chan struct{} // closed once it is at it, or has failed
	succeeded chan struct{} // closed when Acquire of the successor has returned
	appended  uint64        // acknowledged
	last      error
}

func (h *busyHost) run() {
	started := sync.OnceFunc(func() { close(h.started) })
	defer started()
	for h.appended < 1000 && h.append() {
		if h.appended == 20 {
			started()
		}
	}
	if h.last == nil {
		<-h.succeeded
		h.append()
	}
}

// append reports whether the host may go on.
func (h *busyHost) append() bool {
	if h.last = h.journal.Append(h.ctx, 1, entries(h.appended+1, h.appended+2)); h.last != nil {
		return false
	}
	h.appended += 2
	return true
}

func raceForTheToken(r *rig) error {
	for token := uint64(1); token <= 10; token++ {
		var (
			hosts    sync.WaitGroup
			outcomes = make([]error, 4)
		)
		for i := range outcomes {
			hosts.Go(func() { outcomes[i] = r.journal.Acquire(r.ctx, token) })
		}
		hosts.Wait()
		winners := 0
		for _, err := range outcomes {
			if err == nil {
				winners++
			} else if err := refused(err, token, token); err != nil {
				return err
			}
		}
		if winners != 1 {
			return fmt.Errorf("token %d was acquired by %d hosts", token, winners)
		}
	}
	return nil
}
