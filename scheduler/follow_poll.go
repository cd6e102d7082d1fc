package scheduler

import (
	"context"
	"iter"
	"time"
)

// The pauses between readings of a journal that cannot be followed: nine times as
// long as a reading takes, within these bounds.
const (
	shortestPoll = 20 * time.Millisecond
	longestPoll  = 5 * time.Second
)

// follow is Follow of a journal. One that has none is read again and again.
func follow(ctx context.Context, j Journal, after uint64) iter.Seq2[Record, error] {
	if j, ok := j.(FollowableJournal); ok {
		return j.Follow(ctx, after)
	}
	return func(yield func(Record, error) bool) {
		for {
			start := time.Now()
			for r, err := range recordsAfter(ctx, j, after) {
				if !yield(r, err) || err != nil {
					return
				}
				after = r.Seq
			}
			pause := time.NewTimer(min(max(9*time.Since(start), shortestPoll), longestPoll))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				yield(Record{}, ctx.Err())
				return
			}
		}
	}
}

// recordsAfter yields what a journal has after a Seq, as Follow would, up to the
// first RecordCurrent.
func recordsAfter(ctx context.Context, j Journal, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		last := uint64(0)
		for r, err := range j.Records(ctx) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if last = r.Seq; r.Seq > after && !yield(r, nil) {
				return
			}
		}
		switch err := ctx.Err(); {
		case err != nil: // which the journal may have taken for its end
			yield(Record{}, err)
		case last < after:
			yield(Record{}, ErrTruncated)
		default:
			yield(Record{Seq: last, Kind: RecordCurrent}, nil)
		}
	}
}
