package journaltest

import (
	"errors"
	"testing"

	"github.com/rads-project/constellation/scheduler"
)

// Config describes the journal to check.
type Config struct {
	// New prepares an empty journal for one case and returns open, which
	// gives access to it as a host that has just started gets it. A later
	// call of open is a restart, after which the case uses what it returned
	// before no longer: close that in it, if the journal is for one host at a
	// time. Use tb.Cleanup to close the last. Required.
	New func(tb testing.TB) (open func() scheduler.Journal)
	// Shared says that several hosts can have the journal open at once. What
	// open has returned before is then used together with what it returns now, as
	// the journal of a deposed host.
	Shared bool
	// MaxRecord is the length in bytes of the longest record that the journal
	// takes. Zero is 4 MiB. A part of a snapshot has half a megabyte; an entry may
	// be longer where a reservation has thousands of slots.
	MaxRecord int
	// Stall makes the store of the journal that New has prepared last stop
	// answering: what is called from then on hangs until its context ends or
	// resume is called. hanging is closed once a call hangs. Nil leaves it to
	// chance whether an append is under way when its context ends.
	Stall func() (hanging <-chan struct{}, resume func())
}

const defaultMaxRecord = 4 << 20

// A check is one case.
type check struct {
	name string
	// rule is what the contract says.
	rule string
	// run returns what broke the rule.
	run func(*rig) error
}

// Run checks the journal, one subtest for each rule.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.New == nil {
		t.Fatal("journaltest: Config.New is required")
	}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Logf("The rule: %s", c.rule)
			if err := c.against(t, cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

// against runs the check on a journal of its own.
func (c check) against(tb testing.TB, cfg Config) error {
	tb.Helper()
	if cfg.MaxRecord == 0 {
		cfg.MaxRecord = defaultMaxRecord
	}
	r := &rig{cfg: cfg, ctx: tb.Context(), open: cfg.New(tb)}
	if r.journal = r.open(); r.journal == nil {
		return errors.New("open returned no journal")
	}
	return c.run(r)
}
