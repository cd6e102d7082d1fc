package journaltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rads-project/constellation/scheduler"
)

func followChecks() []check {
	return []check{
		{"FollowFromTheStart", "Follow after 0 yields what Records does, and then what is appended.", followFromTheStart},
		{"FollowAfter", "Follow yields what comes after a Seq, and a snapshot only to those who lack entries that it has replaced.", followAfter},
		{"FollowHidesParts", "Parts of a snapshot are not yielded before the last is there.", followHidesParts},
		{"FollowAcquired", "Whoever has acquired the journal has all of it with the first RecordCurrent after that.", followAcquired},
		{"FollowIdle", "While nothing is appended Follow says again and again that this is all there is.", followIdle},
		{"FollowEnds", "Follow ends with the error of its context, also while it waits.", followEnds},
		{"FollowTruncated", "A journal that ends before what its follower has is not the one that it has read.", func(r *rig) error {
			if err := errors.Join(r.acquire(1), r.append(1, entries(1, 3)...)); err != nil {
				return err
			}
			_, err := r.caughtUp(new(follower), 4)
			if !errors.Is(err, scheduler.ErrTruncated) {
				return fmt.Errorf("want ErrTruncated, got %w", err)
			}
			return nil
		}},
		{"FollowMissesNothing", "Followers who come and go while another host appends and writes snapshots get each entry " +
			"once, or a snapshot that holds it.", followMissesNothing},
	}
}

// errUnsupported says that the check is for journals that can do more.
var errUnsupported = errors.New("journaltest: the journal cannot do that")

// follower is what somebody has who follows a journal: a snapshot, the parts of
// the next, and the entries after it.
type follower struct {
	snapshot, parts, entries []scheduler.Record
	last                     uint64
}

// take adds a record, or says what is wrong with it.
func (f *follower) take(r scheduler.Record) error {
	r.Data = bytes.Clone(r.Data)
	switch {
	case r.Kind == scheduler.RecordCurrent:
		if r.Seq != f.last || len(f.parts) > 0 || len(r.Data) > 0 {
			return fmt.Errorf("told to be current at %d after %d and %s", r.Seq, f.last, describe(f.parts))
		}
	case r.Kind == scheduler.RecordEntry:
		if r.Seq != f.last+1 || len(f.parts) > 0 {
			return fmt.Errorf("%s after %d and %s", name(r), f.last, describe(f.parts))
		}
		f.entries, f.last = append(f.entries, r), r.Seq
	case r.Part == 0:
		f.parts = nil
		fallthrough
	default:
		if r.Part != len(f.parts) || r.Seq <= f.last || r.Part > 0 && r.Seq != f.parts[0].Seq {
			return fmt.Errorf("%s after %d and %s", name(r), f.last, describe(f.parts))
		}
		if f.parts = append(f.parts, r); r.Kind == scheduler.RecordSnapshot {
			f.snapshot, f.parts, f.entries, f.last = f.parts, nil, nil, r.Seq
		}
	}
	return nil
}

// all returns the records as the journal would yield them.
func (f *follower) all() []scheduler.Record { return slices.Concat(f.snapshot, f.entries) }

// follow has f take what the journal yields after a Seq until done.
func (r *rig) follow(ctx context.Context, f *follower, after uint64, done func(scheduler.Record) bool) error {
	j, ok := r.journal.(scheduler.FollowableJournal)
	if !ok {
		return errUnsupported
	}
	return followJournal(ctx, j, f, after, done)
}

func followJournal(ctx context.Context, j scheduler.FollowableJournal, f *follower, after uint64, done func(scheduler.Record) bool) error {
	f.last, f.parts = after, nil
	for record, err := range j.Follow(ctx, after) {
		if err != nil {
			return err
		}
		if err := f.take(record); err != nil {
			return err
		}
		if done(record) {
			return nil
		}
	}
	return errors.New("it ended without an error")
}

func current(r scheduler.Record) bool { return r.Kind == scheduler.RecordCurrent }

// caughtUp follows until the journal says that this is all.
func (r *rig) caughtUp(f *follower, after uint64) (*follower, error) {
	return f, r.follow(r.ctx, f, after, current)
}

// yields compares what is after a Seq with what should be.
func (r *rig) yields(after uint64, want ...scheduler.Record) error {
	f, err := r.caughtUp(new(follower), after)
	if err != nil {
		return fmt.Errorf("following after %d: %w", after, err)
	}
	if err := same(f.all(), want); err != nil {
		return fmt.Errorf("following after %d: %w", after, err)
	}
	return nil
}

func followFromTheStart(r *rig) error {
	if err := r.yields(0); err != nil {
		return err
	}
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 5)...), r.yields(0, entries(1, 5)...)); err != nil {
		return err
	}
	want := append(parts(4, 3), entry(5))
	if err := errors.Join(r.append(1, parts(4, 3)...), r.yields(0, want...)); err != nil {
		return err
	}
	// One that goes on gets the rest.
	var (
		f      follower
		failed error
	)
	err := r.follow(r.ctx, &f, 0, func(record scheduler.Record) bool {
		if current(record) && record.Seq == 5 {
			failed = errors.Join(r.append(1, entry(6)), r.append(1, entries(7, 9)...))
		}
		return failed != nil || current(record) && record.Seq == 9
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return same(f.all(), append(want, entries(6, 9)...))
}

func followAfter(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 4)...), r.append(1, entries(5, 9)...)); err != nil {
		return err
	}
	for after := range uint64(10) {
		if err := r.yields(after, entries(after+1, 9)...); err != nil {
			return err
		}
	}
	// The snapshot cuts the second batch in two.
	all := parts(6, 2)
	if err := r.append(1, all...); err != nil {
		return err
	}
	for after := range uint64(6) {
		if err := r.yields(after, append(all, entries(7, 9)...)...); err != nil {
			// Entries that are still there will do.
			if r.yields(after, entries(after+1, 9)...) != nil {
				return err
			}
		}
	}
	for after := uint64(6); after < 10; after++ {
		if err := r.yields(after, entries(after+1, 9)...); err != nil {
			return err
		}
	}
	return errors.Join(r.append(1, snapshot(9)), r.yields(9), r.yields(0, snapshot(9)), r.yields(3, snapshot(9)))
}

func followHidesParts(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 4)...)); err != nil {
		return err
	}
	all := parts(3, 3)
	err := errors.Join(r.append(1, all[0]), r.append(1, all[1]), r.yields(0, entries(1, 4)...), r.yields(4))
	if err != nil {
		return err
	}
	return errors.Join(r.append(1, all[2]), r.yields(0, append(all, entry(4))...), r.yields(4))
}

func followAcquired(r *rig) error {
	if err := r.acquire(1); err != nil {
		return err
	}
	var (
		seen follower
		next uint64
	)
	for token := uint64(2); token < 20; token++ {
		old := r.journal
		err := errors.Join(r.append(token-1, entries(next+1, next+token)...))
		if next += token; err != nil {
			return err
		}
		r.journal = r.successor()
		if err := r.acquire(token); err != nil {
			return err
		}
		if err := refused(old.Append(r.ctx, token-1, entries(next+1, next+1)), token-1, token); err != nil {
			return err
		}
		if _, err := r.caughtUp(&seen, seen.last); err != nil {
			return err
		}
		if seen.last != next {
			return fmt.Errorf("current at %d under token %d, with %d entries acknowledged", seen.last, token, next)
		}
	}
	return same(seen.all(), entries(1, next))
}

func followIdle(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 2)...)); err != nil {
		return err
	}
	times := 0
	return r.follow(r.ctx, new(follower), 0, func(record scheduler.Record) bool {
		if current(record) {
			times++
		}
		return times == 3
	})
}

func followEnds(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 2)...)); err != nil {
		return err
	}
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	if err := r.endsWith(ended, cancel); err != nil {
		return fmt.Errorf("under a context that has ended: %w", err)
	}
	waiting, cancel := context.WithCancel(r.ctx)
	defer cancel()
	if err := r.endsWith(waiting, cancel); err != nil {
		return fmt.Errorf("under a context that ended while it waited: %w", err)
	}
	return nil
}

// endsWith follows, ends ctx once that is all there is, and wants its error.
func (r *rig) endsWith(ctx context.Context, end func()) error {
	times := 0
	err := r.follow(ctx, new(follower), 0, func(record scheduler.Record) bool {
		if current(record) {
			times++
			end()
		}
		return times > 3
	})
	switch {
	case errors.Is(err, errUnsupported):
		return err
	case err == nil || !errors.Is(err, context.Canceled):
		return fmt.Errorf("after %d times it had all there is: %w", times, cmp.Or(err, errors.New("it goes on")))
	}
	return nil
}

func followMissesNothing(r *rig) error {
	j, ok := r.journal.(scheduler.FollowableJournal)
	if !ok {
		return errUnsupported
	}
	if err := r.acquire(1); err != nil {
		return err
	}
	const total = 600
	var (
		running  sync.WaitGroup
		outcomes [3]error
		writer   = r.successor()
		reached  = make(chan uint64, 1)
	)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	for i := range outcomes {
		running.Go(func() {
			outcomes[i] = comeAndGo(ctx, j, total, 1+i*23, reached)
			if outcomes[i] != nil {
				cancel()
			}
		})
	}
	writeErr := appendWithSnapshots(ctx, writer, total, reached)
	if writeErr != nil {
		cancel()
	}
	running.Wait()
	return errors.Join(errors.Join(outcomes[:]...), writeErr)
}

// appendWithSnapshots appends entries in batches of several lengths, and now and
// then a snapshot in parts. Before some batches it waits until a follower has all
// there is.
func appendWithSnapshots(ctx context.Context, j scheduler.Journal, total uint64, reached <-chan uint64) error {
	last := uint64(0)
	for round := uint64(0); last < total; round++ {
		for at := uint64(0); round%5 == 0 && at < last; {
			select {
			case at = <-reached:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		to := min(last+1+round%7, total)
		if err := j.Append(ctx, 1, entries(last+1, to)); err != nil {
			return err
		}
		last = to
		if round%11 != 10 {
			continue
		}
		for _, part := range parts(last-min(last-1, round%3), 3) {
			if err := j.Append(ctx, 1, []scheduler.Record{part}); err != nil {
				return err
			}
		}
	}
	return nil
}

// comeAndGo follows until the last Seq, and stops and goes on after every so many
// records; 1 means never to stop. It says how far it has got to who wants to know.
func comeAndGo(ctx context.Context, j scheduler.FollowableJournal, last uint64, stride int, reached chan uint64) error {
	var f follower
	for f.last < last {
		taken := 0
		err := followJournal(ctx, j, &f, f.last, func(scheduler.Record) bool {
			select { // what somebody said before is old
			case <-reached:
			default:
			}
			select {
			case reached <- f.last:
			default:
			}
			taken++
			return f.last == last || stride > 1 && taken%stride == 0 && len(f.parts) == 0
		})
		if err != nil {
			return fmt.Errorf("follower that stops after every %d: %w", stride, err)
		}
	}
	want := entries(1, last)
	if len(f.snapshot) > 0 {
		want = append(parts(f.snapshot[0].Seq, 3), entries(f.snapshot[0].Seq+1, last)...)
	}
	return same(f.all(), want)
}
