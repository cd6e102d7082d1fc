package rafttest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rads-project/constellation/raft"
)

// CheckStore reports everything in which a Store breaks the contract of
// raft.Store, joined; nil says that it passed. Each call of open must return a
// closed store for the same record, as another process would get it; at the
// first call nothing may have been saved. What a store does in a power failure
// cannot be seen from here.
//
//	err := rafttest.CheckStore(func() raft.Store { return mystore.New(dir) })
func CheckStore(open func() raft.Store) error {
	c := storeCheck{open: open}
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"begin empty", c.beginEmpty},
		{"use while closed", c.useWhileClosed},
		{"exclude others", c.excludeOthers},
		{"save and reopen", c.saveAndReopen},
		{"save the largest record", c.saveLargest},
		{"share no memory", c.shareNoMemory},
		{"close without saving", c.closeWithoutSaving},
	} {
		if err := step.run(); err != nil {
			c.errs = append(c.errs, fmt.Errorf("rafttest: %s: %w", step.name, err))
		}
	}
	return errors.Join(c.errs...)
}

// storeCheck carries what was saved from one step to the next.
type storeCheck struct {
	open func() raft.Store
	last raft.HardState
	errs []error
}

// expect opens the store, compares its record with the last one saved, lets use
// work with it, and closes it.
func (c *storeCheck) expect(use func(raft.Store) error) error {
	s := c.open()
	record, err := s.Open()
	if err != nil {
		return fmt.Errorf("method Open: %w", err)
	}
	if record.Found && !record.State.Equal(c.last) {
		err = fmt.Errorf("method Open returned %+v, saved was %+v", record.State, c.last)
	}
	if found := !c.last.Equal(raft.HardState{}); record.Found != found {
		err = errors.Join(err, fmt.Errorf("method Open: Found is %v, want %v", record.Found, found))
	}
	if record.Damage != nil {
		err = errors.Join(err, fmt.Errorf("method Open: unexpected damage: %w", record.Damage))
	}
	err = errors.Join(err, use(s))
	if closing := s.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("method Close: %w", closing))
	}
	return err
}

func (c *storeCheck) save(s raft.Store, state raft.HardState) error {
	if err := s.Save(state.Clone()); err != nil {
		return fmt.Errorf("method Save: %w", err)
	}
	c.last = state
	return nil
}

func (c *storeCheck) beginEmpty() error {
	return c.expect(func(raft.Store) error { return nil })
}

func (c *storeCheck) useWhileClosed() error {
	s := c.open()
	var err error
	if s.Save(storeState(1)) == nil {
		err = errors.New("method Save worked")
	}
	for range 2 {
		if closing := s.Close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("method Close: %w", closing))
		}
	}
	return err
}

func (c *storeCheck) excludeOthers() error {
	return c.expect(func(raft.Store) error {
		other := c.open()
		_, err := other.Open()
		switch {
		case err == nil:
			return errors.New("a second Open worked")
		case !errors.Is(err, raft.ErrLocked):
			return fmt.Errorf("a second Open failed, but not with ErrLocked: %w", err)
		}
		return nil
	})
}

func (c *storeCheck) saveAndReopen() error {
	var errs []error
	next := uint64(1)
	for saves := range 4 {
		errs = append(errs, c.expect(func(s raft.Store) error {
			for range saves {
				if err := c.save(s, storeState(next)); err != nil {
					return err
				}
				next++
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

func (c *storeCheck) saveLargest() error {
	largest := storeState(1 << 40)
	longest := strings.Repeat("x", raft.MaxIDSize-2)
	members := make([]raft.Member, raft.MaxMembers)
	for i := range members {
		members[i] = raft.Member{ID: fmt.Sprintf("%02d%s", i, longest), Voter: true, Data: "data", StoreID: raft.StoreID{1}}
	}
	configuration, err := raft.NewConfiguration(members...)
	if err != nil {
		return err
	}
	largest.Cluster, largest.Node, largest.Vote = members[0].ID, members[1].ID, members[2].ID
	largest.Configuration = configuration
	return c.expect(func(s raft.Store) error { return c.save(s, largest) })
}

func (c *storeCheck) shareNoMemory() error {
	return c.expect(func(s raft.Store) error {
		state := storeState(7)
		c.last = state.Clone()
		if err := s.Save(state); err != nil {
			return fmt.Errorf("method Save: %w", err)
		}
		if !state.Equal(c.last) {
			return errors.New("method Save changed its argument")
		}
		state.Configuration.Members[0].Data = "changed after Save"
		return nil
	})
}

func (c *storeCheck) closeWithoutSaving() error {
	err := c.expect(func(raft.Store) error { return nil })
	return errors.Join(err, c.expect(func(raft.Store) error { return nil }))
}

// storeState returns a state that differs for each n.
func storeState(n uint64) raft.HardState {
	configuration, err := raft.NewConfiguration(
		raft.Member{ID: "a", Voter: true, Data: "http://a"},
		raft.Member{ID: "b", Priority: -1},
	)
	if err != nil {
		panic(err) // The members above are valid.
	}
	configuration.Version = n
	return raft.HardState{
		Identity:       raft.Identity{Cluster: "c", Node: "a", StoreID: raft.StoreID{0xab}, Incarnation: n},
		Term:           n + 1,
		Vote:           "b",
		LongestPromise: time.Duration(n),
		Configuration:  configuration,
	}
}
