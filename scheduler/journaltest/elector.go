package journaltest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/scheduler/lease"
)

// ElectorConfig describes the elector to check.
type ElectorConfig struct {
	// Command returns a process that calls ServeElector with its standard output, as
	// the replica of that number, 0 or 1. Required.
	Command func(replica int) *exec.Cmd
	// Cut has the connection of a replica fall silent after so many more bytes, and
	// Heal lets through what is sent from then on. Nil leaves that out.
	Cut  func(replica, after int)
	Heal func(replica int)
	// PausedBlocks is that of Config: nothing is paused then.
	PausedBlocks bool
	// Rounds is how many leaders are tormented. Zero is 20.
	Rounds int
}

// ServeElector makes this process a replica for RunElector. It stands for election
// again and again until ctx ends, and while it leads it says so on out.
func ServeElector(ctx context.Context, e *lease.Elector, out io.Writer) error {
	for ctx.Err() == nil {
		err := e.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			resigns := 20 + rand.IntN(400)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range resigns {
				before := time.Now()
				leads := lease.Leads(ctx)
				after := time.Now()
				if leads {
					if _, err := fmt.Fprintln(out, token, before.UnixNano(), after.UnixNano()); err != nil {
						return err
					}
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

// report is what a replica says: that it led at an instant between two others.
type report struct {
	replica       int
	token         uint64
	before, after int64
}

// reports holds what the replicas have said together.
type reports struct {
	mu      sync.Mutex
	changed *sync.Cond
	latest  report             // that of the highest token
	first   map[uint64]report  // of each token
	killed  map[*exec.Cmd]bool // on purpose
	fault   error              // the first that was found
}

func (c *reports) add(said report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.Broadcast()
	first, known := c.first[said.token]
	if !known {
		c.first[said.token] = said
	}
	if known && first.replica != said.replica {
		c.fault = cmp.Or(c.fault, fmt.Errorf("token %d was given to both replicas", said.token))
	}
	if said.token > c.latest.token {
		c.latest = said
	}
	// Only one report of each token can be the first, so these are few.
	for token, other := range c.first {
		if token > said.token && said.before > other.after {
			c.fault = cmp.Or(c.fault, fmt.Errorf("token %d led %v after token %d had led",
				said.token, time.Duration(said.before-other.after), token))
		}
	}
}

// ends says that a replica is about to be killed.
func (c *reports) ends(command *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed[command] = true
}

// ended notes that a replica says nothing more.
func (c *reports) ended(command *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.killed[command] {
		c.fault = cmp.Or(c.fault, errors.New("a replica has ended by itself"))
	}
	c.changed.Broadcast()
}

// await waits until a token has led that is higher than one.
func (c *reports) await(token uint64) (report, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.latest.token <= token && c.fault == nil {
		c.changed.Wait()
	}
	return c.latest, c.fault
}

// RunElector starts two replicas that elect, and pauses, kills and cuts off the one
// that leads, at random instants. It checks that none leads any more once the other
// has led with a higher token, that each token goes to one of them, and that the
// other leads in the end.
func RunElector(t *testing.T, cfg ElectorConfig) {
	t.Helper()
	if cfg.Command == nil {
		t.Fatal("journaltest: ElectorConfig.Command is required")
	}
	said := &reports{first: make(map[uint64]report), killed: make(map[*exec.Cmd]bool)}
	said.changed = sync.NewCond(&said.mu)
	r := electorRig{cfg: cfg, said: said}
	defer r.stop()
	for replica := range r.running {
		if err := r.start(replica); err != nil {
			t.Fatal(err)
		}
	}
	for round := range cmp.Or(cfg.Rounds, 20) {
		if err := r.torment(round); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d reigns", len(said.first))
}

type electorRig struct {
	cfg     ElectorConfig
	said    *reports
	running [2]*exec.Cmd
	readers sync.WaitGroup
}

func (r *electorRig) start(replica int) error {
	command := r.cfg.Command(replica)
	out, err := command.StdoutPipe()
	if err = errors.Join(err, command.Start()); err != nil {
		return err
	}
	r.running[replica] = command
	r.readers.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c := report{replica: replica}
			if _, err := fmt.Sscan(lines.Text(), &c.token, &c.before, &c.after); err == nil { // the last line may be cut
				r.said.add(c)
			}
		}
		r.said.ended(command)
	})
	return nil
}

func (r *electorRig) kill(replica int) {
	if command := r.running[replica]; command != nil {
		r.said.ends(command)
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

func (r *electorRig) stop() {
	for replica := range r.running {
		r.kill(replica)
	}
	r.readers.Wait()
}

// torment does one thing to the replica that leads, waits until another leads,
// and undoes it.
func (r *electorRig) torment(round int) error {
	leader, err := r.said.await(0)
	if err != nil {
		return err
	}
	process := r.running[leader.replica].Process
	kinds := []func() (func() error, error){
		func() (func() error, error) {
			r.kill(leader.replica)
			return func() error { return r.start(leader.replica) }, nil
		},
	}
	if r.cfg.Cut != nil {
		kinds = append(kinds, func() (func() error, error) {
			r.cfg.Cut(leader.replica, rand.IntN(1000))
			return func() error { r.cfg.Heal(leader.replica); return nil }, nil
		})
	}
	if !r.cfg.PausedBlocks {
		kinds = append(kinds, func() (func() error, error) {
			return func() error { return resume(process) }, pause(process)
		})
	}
	undo, err := kinds[round%len(kinds)]()
	if errors.Is(err, errUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	_, waitErr := r.said.await(leader.token)
	return errors.Join(waitErr, undo())
}
