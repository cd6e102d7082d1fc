package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync"

	"github.com/rads-project/constellation/scheduler"
)

// fileJournal keeps the journal in one file, which each change replaces: the
// shortest journal that there is, for one process and a few records.
type fileJournal struct {
	path string
	mu   sync.Mutex
}

// fileState is what the file holds.
type fileState struct {
	Token    uint64             // the highest
	Snapshot []scheduler.Record // the parts of the one that counts
	Parts    []scheduler.Record // of the next, which is not complete
	Entries  []scheduler.Record // after the snapshot
}

// Acquire implements scheduler.Journal.
func (j *fileJournal) Acquire(ctx context.Context, token uint64) error {
	return j.change(ctx, func(s *fileState) error {
		if token <= s.Token {
			return &scheduler.FencedError{Token: token, Highest: s.Token}
		}
		s.Token = token
		return nil
	})
}

// Append implements scheduler.Journal.
func (j *fileJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	return j.change(ctx, func(s *fileState) error {
		if token != s.Token {
			return &scheduler.FencedError{Token: token, Highest: s.Token}
		}
		for _, r := range records {
			s.add(r)
		}
		return nil
	})
}

// add keeps a record. A snapshot counts with its last part, unless a later one does.
func (s *fileState) add(r scheduler.Record) {
	if r.Kind == scheduler.RecordEntry {
		s.Entries = append(s.Entries, r)
		return
	}
	s.Parts = append(s.Parts[:min(r.Part, len(s.Parts))], r)
	if r.Kind == scheduler.RecordSnapshot && (len(s.Snapshot) == 0 || s.Snapshot[0].Seq <= r.Seq) {
		s.Snapshot, s.Parts = s.Parts, nil
		s.Entries = slices.DeleteFunc(s.Entries, func(e scheduler.Record) bool { return e.Seq <= r.Seq })
	}
}

// Records implements scheduler.Journal.
func (j *fileJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		s, err := j.load()
		if err = errors.Join(err, ctx.Err()); err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		for _, r := range slices.Concat(s.Snapshot, s.Entries) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// change loads the state, has do change it, and saves that if do did not fail.
func (j *fileJournal) change(ctx context.Context, do func(*fileState) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, err := j.load()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if err := do(&s); err != nil {
		return err
	}
	return save(j.path, encode(s))
}

func (j *fileJournal) load() (s fileState, err error) {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// save replaces a file by one that is synced. A journal to rely on would sync the
// folder as well.
func save(path string, data []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// encode writes records, or what holds them, as JSON.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and bytes
	}
	return data
}
