package scheduler_test

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// damaged is a journal that yields what is left of its records.
type damaged struct {
	scheduler.MemoryJournal
	records []scheduler.Record
}

func (j *damaged) Records(context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		for _, r := range j.records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// sound returns the records of a snapshot and some entries after it.
func sound(t *testing.T) []scheduler.Record {
	t.Helper()
	ctx := t.Context()
	journal := new(scheduler.MemoryJournal)
	s := opened(t, scheduler.Config{Journal: journal, RememberReleased: 3})
	req := one("a")
	req.Preferences = placement.Use(placement.Spread).Prefer(placement.Equal("zone", "a"), 10)
	_, err := s.Place(ctx, req)
	require.NoError(t, err)
	require.NoError(t, s.Checkpoint(ctx))
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: placement.Core}, Count: 2, Duration: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, s.Release(ctx, "a"))
	var records []scheduler.Record
	for r, err := range journal.Records(ctx) {
		require.NoError(t, err)
		records = append(records, r)
	}
	require.Len(t, records, 3)
	return records
}

// TestDamagedRecordsAreRefused harms the bytes of records in a journal that
// does not notice.
func TestDamagedRecordsAreRefused(t *testing.T) {
	records := sound(t)
	refuses := func(i int, data []byte) {
		t.Helper()
		harmed := slices.Clone(records)
		harmed[i].Data = data
		_, err := scheduler.Open(t.Context(), scheduler.Config{Journal: &damaged{records: harmed}, RememberReleased: 3})
		var format *scheduler.FormatError
		require.ErrorAs(t, err, &format, "%s", data)
		require.Equal(t, records[i].Seq, format.Seq)
		require.ErrorIs(t, err, scheduler.ErrFormat)
	}
	for i, r := range records {
		for bit := range 8 * len(r.Data) {
			data := bytes.Clone(r.Data)
			data[bit/8] ^= 1 << (bit % 8)
			refuses(i, data)
		}
		for length := range r.Data {
			refuses(i, r.Data[:length])
		}
		for j := range records {
			if j != i {
				refuses(i, records[j].Data)
			}
		}
	}
}

func TestMissingRecordsAreRefused(t *testing.T) {
	records := sound(t)
	tests := []struct {
		name    string
		records []scheduler.Record
	}{
		{"no snapshot", records[1:]},
		{"a gap", []scheduler.Record{records[0], records[2]}},
		{"twice", []scheduler.Record{records[0], records[1], records[1]}},
		{"out of order", []scheduler.Record{records[0], records[2], records[1]}},
		{"the snapshot last", []scheduler.Record{records[1], records[2], records[0]}},
		{"the snapshot again", []scheduler.Record{records[0], records[1], records[0]}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := scheduler.Open(t.Context(), scheduler.Config{Journal: &damaged{records: test.records}})
			require.ErrorIs(t, err, scheduler.ErrFormat)
		})
	}
}
