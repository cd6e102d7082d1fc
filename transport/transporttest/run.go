package transporttest

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
)

// A Config describes the transport to check.
type Config struct {
	// Network prepares a network of the members names, for one case, and
	// returns join, which makes the transport of one of them. Each member
	// joins once before anything is sent, and again, under the same name,
	// after its Serve has returned: the member restarts. tb.Cleanup runs
	// after every Serve of the case has returned. Required.
	Network func(tb testing.TB, names []string) (join func(name string) transport.Transport)
	// MaxFrame is the longest frame that Send accepts, in bytes. Zero is
	// [transport.DefaultMaxFrame].
	MaxFrame int
}

// patience is how long a check waits for what must happen.
const patience = 30 * time.Second

// A check is one case.
type check struct {
	name string
	// rule is what the contract says.
	rule string
	// run returns what broke the rule.
	run func(*rig) error
}

// Run checks the transport, one subtest for each rule.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.Network == nil {
		t.Fatal("transporttest: Config.Network is required")
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = transport.DefaultMaxFrame
	}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Logf("The rule: %s", c.rule)
			if err := c.against(t, cfg, patience); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("LeavesNoGoroutine", func(t *testing.T) {
		t.Log("The rule: once Serve has returned, no goroutine is left (rule 7).")
		if err := leavesNoGoroutine(t, cfg, patience); err != nil {
			t.Error(err)
		}
	})
}

// against runs the check on a network of its own and ends what it started.
func (c check) against(tb testing.TB, cfg Config, patience time.Duration) error {
	tb.Helper()
	r := newRig(tb, cfg, patience)
	err := c.run(r)
	if stopErr := r.stopAll(); err == nil {
		err = stopErr
	}
	return err
}

// leavesNoGoroutine lets members exchange frames and ends them, then counts.
// The traffic is a subtest, so that the network's own cleanup comes first.
func leavesNoGoroutine(t *testing.T, cfg Config, patience time.Duration) error {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Run("Traffic", func(t *testing.T) {
		c := check{run: everyoneToEveryone}
		if err := c.against(t, cfg, patience); err != nil {
			t.Error(err)
		}
	})
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; <-poll.C {
		if time.Now().After(deadline) {
			return leftover(before)
		}
	}
	return nil
}

// leftover describes the goroutines there are.
func leftover(before int) error {
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return fmt.Errorf("%d goroutines were running before, now %d:\n%s", before, runtime.NumGoroutine(), stacks)
}
