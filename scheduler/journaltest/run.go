package journaltest

import (
	"cmp"
	"errors"
	"os/exec"
	"testing"
	"time"

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
	// MaxBatch is the length in bytes of the longest batch that the journal takes,
	// and at least MaxRecord. Zero is 10 MiB.
	MaxBatch int
	// Light leaves out what writes tens of megabytes, for a journal that is checked a
	// second time, under other settings.
	Light bool
	// Rounds is how often hosts depose each other in TwoWriters. Zero is 200.
	Rounds int
	// TakeOver is the longest time that a host which is paused, killed or cut off
	// keeps its successor out. Zero is 5 s.
	TakeOver time.Duration
	// Command returns a process that opens the journal that New has prepared last
	// and calls Serve with its standard input and output: mostly the binary of the
	// test itself, whose TestMain looks at the environment. The process is one of
	// several hosts that have the journal open. Nil leaves out the checks that pause
	// and kill one.
	Command func() *exec.Cmd
	// PausedBlocks says that a paused process may keep others out until it goes on
	// or is killed, which is so where the lock is one of the operating system.
	PausedBlocks bool
	// Cut opens the journal that New has prepared last for a host whose
	// connection can be cut: cut lets so many more bytes of it through to the store.
	// Nothing comes through after them, in neither direction, and nothing tells the
	// store so. silent is closed once something is held back. Nil leaves out the
	// check that does it.
	Cut func() (host scheduler.Journal, cut func(after int) (silent <-chan struct{}))
}

// withDefaults returns the configuration with what zeros stand for.
func (c Config) withDefaults() Config {
	c.MaxRecord = cmp.Or(c.MaxRecord, 4<<20)
	c.MaxBatch = cmp.Or(c.MaxBatch, 10<<20)
	c.Rounds = cmp.Or(c.Rounds, 200)
	c.TakeOver = cmp.Or(c.TakeOver, 5*time.Second)
	return c
}

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
			err := c.against(t, cfg)
			if errors.Is(err, errUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// against runs the check on a journal of its own.
func (c check) against(tb testing.TB, cfg Config) error {
	tb.Helper()
	cfg = cfg.withDefaults()
	r := &rig{cfg: cfg, ctx: tb.Context(), open: cfg.New(tb)}
	if r.journal = r.open(); r.journal == nil {
		return errors.New("open returned no journal")
	}
	return c.run(r)
}
