package rafttest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/raft"
)

// CheckLog reports everything in which a Log breaks the contract of raft.Log,
// joined; nil says that it passed. Each call of open must return a closed log of the
// same entries, as another process would get it; at the first call it may never have
// been opened before. What a log does in a power failure cannot be seen from here.
//
//	err := rafttest.CheckLog(func() raft.Log { return mylog.New(dir) })
func CheckLog(open func() raft.Log) error {
	c := logCheck{open: open}
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"begin empty", c.beginEmpty},
		{"use while closed", c.useWhileClosed},
		{"exclude others", c.excludeOthers},
		{"belong to a store", c.belongToAStore},
		{"append and reopen", c.appendAndReopen},
		{"replace the end", c.replaceTheEnd},
		{"refuse a gap", c.refuseAGap},
		{"keep large entries", c.keepLargeEntries},
	} {
		if err := step.run(); err != nil {
			c.errs = append(c.errs, fmt.Errorf("rafttest: %s: %w", step.name, err))
		}
	}
	return errors.Join(c.errs...)
}

// logCheck carries what the log has from one step to the next.
type logCheck struct {
	open    func() raft.Log
	begun   bool
	entries []raft.Entry
	errs    []error
}

// logOwner is the store that the log belongs to.
func logOwner() raft.StoreID { return raft.StoreID{0xab} }

// expect opens the log, compares its entries with those appended, lets use work with
// it, and closes it.
func (c *logCheck) expect(use func(raft.Log) error) error {
	l := c.open()
	found, err := l.Open(logOwner(), c.begun)
	if err != nil {
		return fmt.Errorf("method Open: %w", err)
	}
	c.begun = true
	if !slices.EqualFunc(found.Entries, c.entries, sameEntry) {
		err = fmt.Errorf("method Open returned %s, appended was %s", sketch(found.Entries), sketch(c.entries))
	}
	if found.Unproven {
		err = errors.Join(err, errors.New("method Open: Unproven after Close"))
	}
	err = errors.Join(err, use(l))
	if closing := l.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("method Close: %w", closing))
	}
	return err
}

func sameEntry(a, b raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
}

// sketch says what entries there are, for people.
func sketch(entries []raft.Entry) string {
	if len(entries) == 0 {
		return "no entries"
	}
	first, last := entries[0], entries[len(entries)-1]
	return fmt.Sprintf("entries %d of term %d to %d of term %d", first.Index, first.Term, last.Index, last.Term)
}

// add appends n entries of a term whose first has the index given.
func (c *logCheck) add(l raft.Log, first, term uint64, n, size int) error {
	entries := []raft.Entry{{Index: first, Term: term, Kind: raft.EntryStart}}
	for i := 1; i < n; i++ {
		data := bytes.Repeat([]byte{byte(i), byte(term)}, size/2)
		entries = append(entries, raft.Entry{Index: first + uint64(i), Term: term, Kind: raft.EntryCommand, Data: data})
	}
	if err := l.Append(entries); err != nil {
		return fmt.Errorf("method Append: %w", err)
	}
	c.entries = append(c.entries[:first-1:first-1], entries...)
	return nil
}

func (c *logCheck) next() uint64 { return uint64(len(c.entries)) + 1 }

func (c *logCheck) beginEmpty() error {
	if _, err := c.open().Open(logOwner(), true); !errors.Is(err, raft.ErrCorrupt) {
		return fmt.Errorf("method Open of a log that is lost: %w, want ErrCorrupt", err)
	}
	return c.expect(func(raft.Log) error { return nil })
}

func (c *logCheck) useWhileClosed() error {
	l := c.open()
	var err error
	if l.Append([]raft.Entry{{Index: 1, Term: 1, Kind: raft.EntryStart}}) == nil {
		err = errors.New("method Append worked")
	}
	for range 2 {
		if closing := l.Close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("method Close: %w", closing))
		}
	}
	return err
}

func (c *logCheck) excludeOthers() error {
	return c.expect(func(raft.Log) error {
		_, err := c.open().Open(logOwner(), true)
		switch {
		case err == nil:
			return errors.New("a second Open worked")
		case !errors.Is(err, raft.ErrLocked):
			return fmt.Errorf("a second Open failed, but not with ErrLocked: %w", err)
		}
		return nil
	})
}

func (c *logCheck) belongToAStore() error {
	for _, begun := range []bool{false, true} {
		if _, err := c.open().Open(raft.StoreID{1}, begun); !errors.Is(err, raft.ErrForeign) {
			return fmt.Errorf("method Open for another store: %w, want ErrForeign", err)
		}
	}
	return nil
}

func (c *logCheck) appendAndReopen() error {
	var errs []error
	for term := range uint64(4) {
		errs = append(errs, c.expect(func(l raft.Log) error {
			for n := range int(term) {
				if err := c.add(l, c.next(), term, n+1, 100); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// replaceTheEnd takes back a part of what was appended last, and all of it.
func (c *logCheck) replaceTheEnd() error {
	return errors.Join(
		c.expect(func(l raft.Log) error { return c.add(l, c.next()-1, 5, 3, 10) }),
		c.expect(func(l raft.Log) error {
			if err := c.add(l, 3, 6, 2, 10); err != nil {
				return err
			}
			l.Prove()
			return c.add(l, 1, 7, 5, 10)
		}),
		c.expect(func(raft.Log) error { return nil }),
	)
}

func (c *logCheck) refuseAGap() error {
	return c.expect(func(l raft.Log) error {
		for _, first := range []uint64{0, c.next() + 1} {
			if l.Append([]raft.Entry{{Index: first, Term: 9, Kind: raft.EntryStart}}) == nil {
				return fmt.Errorf("method Append took entry %d after %d", first, c.next()-1)
			}
		}
		return nil
	})
}

// keepLargeEntries appends more at once than a message has room for.
func (c *logCheck) keepLargeEntries() error {
	return errors.Join(
		c.expect(func(l raft.Log) error { return c.add(l, c.next(), 9, 4, raft.MaxAppendSize-512) }),
		c.expect(func(raft.Log) error { return nil }),
	)
}
