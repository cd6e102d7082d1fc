package boltjournal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// The crash test: a child process opens the journal and works under load from
// several goroutines, each on IDs of its own, until the parent kills it with
// SIGKILL. Before each call the child writes to a pipe what it is about to do,
// and after it what came out. The parent then opens the journal and compares:
// what was acknowledged is there, and the one call of each worker that was not
// is there as a whole or not at all.

const (
	crashDir     = "BOLTJOURNAL_CRASH_DIR"
	crashSeed    = "BOLTJOURNAL_CRASH_SEED"
	crashWorkers = 8
	crashIDs     = 6 // of each kind for each worker
)

// action is one call of a worker, as a line in the pipe.
type action struct {
	Worker int
	Done   bool `json:",omitzero"` // the call has returned
	Failed bool `json:",omitzero"` // with a refusal
	Call   call
	ID     string
	CPU    int64  `json:",omitzero"`
	Count  int    `json:",omitzero"`
	Node   string `json:",omitzero"` // of the answer
}

type call string

const (
	callPlace     call = "place"
	callRelease   call = "release"
	callResize    call = "resize"
	callReserve   call = "reserve"
	callUnreserve call = "unreserve"
	callTerms     call = "terms"
)

func draw(r *rand.Rand, worker int) action {
	a := action{Worker: worker, CPU: 100 * (1 + r.Int64N(8)), Count: 1 + r.IntN(3)}
	a.Call = []call{callPlace, callPlace, callRelease, callResize, callReserve, callUnreserve, callTerms}[r.IntN(7)]
	a.ID = fmt.Sprintf("w%d-%d", worker, r.IntN(crashIDs))
	return a
}

// run makes the call and completes the action with the answer. It returns an
// error that ends the child.
func (a *action) run(s *scheduler.Scheduler) error {
	var err error
	ctx := context.Background()
	amounts := placement.Resources{CPU: a.CPU}
	switch a.Call {
	case callPlace:
		var d scheduler.Decision
		d, err = s.Place(ctx, placement.Request{ID: a.ID, Namespace: "team", Resources: amounts})
		a.Node = d.NodeID
	case callRelease:
		err = s.Release(ctx, a.ID)
	case callResize:
		_, err = s.Resize(ctx, a.ID, amounts)
	case callReserve:
		_, err = s.Reserve(ctx, reservation.Spec{ID: a.ID, Namespace: "team", Shape: amounts, Count: a.Count, Duration: 1000 * time.Hour})
	case callUnreserve:
		err = s.ReleaseReservation(ctx, a.ID, true)
	case callTerms:
		_, err = s.ResizeReservation(ctx, a.ID, amounts, a.Count)
	}
	if errors.Is(err, scheduler.ErrJournal) || errors.Is(err, scheduler.ErrClosed) {
		return err
	}
	a.Done, a.Failed = true, err != nil
	return nil
}

// crashChild works until it is killed, and returns an exit code if it cannot.
func crashChild(dir string) int {
	var seed uint64
	_, err := fmt.Sscan(os.Getenv(crashSeed), &seed)
	j, openErr := Open(dir, Config{sizes: sizes{prune: 50}})
	if err = errors.Join(err, openErr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := scheduler.Open(context.Background(), scheduler.Config{Journal: j})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	failed := make(chan error)
	for worker := range crashWorkers {
		go func() { failed <- work(s, rand.New(rand.NewPCG(seed, uint64(worker))), worker) }()
	}
	go func() { failed <- checkpoint(s) }()
	fmt.Fprintln(os.Stderr, <-failed)
	return 1
}

func work(s *scheduler.Scheduler, r *rand.Rand, worker int) error {
	for {
		a := draw(r, worker)
		if err := a.write(); err != nil {
			return err
		}
		if err := a.run(s); err != nil {
			return err
		}
		if err := a.write(); err != nil {
			return err
		}
	}
}

// write sends a line in one write, which a kill does not tear.
func (a *action) write() error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

func checkpoint(s *scheduler.Scheduler) error {
	for range time.Tick(5 * time.Millisecond) {
		if err := s.Checkpoint(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// books is what should be there.
type books struct {
	instances    map[string]instance
	reservations map[string]holding
}

type instance struct {
	node string
	cpu  int64
}

type holding struct {
	cpu   int64
	count int
}

// apply enters an action that took effect.
func (b *books) apply(a action) {
	switch a.Call {
	case callPlace:
		if _, there := b.instances[a.ID]; !there {
			b.instances[a.ID] = instance{a.Node, a.CPU}
		}
	case callRelease:
		delete(b.instances, a.ID)
	case callResize:
		b.instances[a.ID] = instance{b.instances[a.ID].node, a.CPU}
	case callReserve:
		if _, there := b.reservations[a.ID]; !there {
			b.reservations[a.ID] = holding{a.CPU, a.Count}
		}
	case callTerms:
		b.reservations[a.ID] = holding{a.CPU, a.Count}
	case callUnreserve:
		delete(b.reservations, a.ID)
	}
}

// settle enters an action that was not acknowledged, if the state shows that
// it took effect. The comparison that follows finds one that did so by half.
func (b *books) settle(a action, s *scheduler.Scheduler) {
	switch a.Call {
	case callPlace, callRelease, callResize:
		now, err := s.Allocation(context.Background(), a.ID)
		there := err == nil
		if a.Call == callRelease == there || there && now.Request.Resources.CPU != a.CPU {
			return
		}
		a.Node = now.NodeID
	default:
		now, err := s.Reservation(context.Background(), a.ID)
		there := err == nil
		if a.Call == callUnreserve == there || there && (now.Params.Shape.CPU != a.CPU || now.Params.Count != a.Count) {
			return
		}
	}
	b.apply(a)
}

func (b *books) compare(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	instances, byNode := make(map[string]instance), make(map[string]int64)
	for _, a := range listed(t, s.Allocations) {
		instances[a.Request.ID] = instance{a.NodeID, a.Request.Resources.CPU}
		byNode[a.NodeID] += a.Request.Resources.CPU
	}
	require.Equal(t, b.instances, instances)
	reservations, held := make(map[string]holding), make(map[string]int64)
	for _, r := range listed(t, s.Reservations) {
		reservations[r.Spec.ID] = holding{r.Params.Shape.CPU, r.Params.Count}
		require.Len(t, r.Slots, r.Params.Count)
		for _, slot := range r.Slots {
			held[slot.Node] += r.Params.Shape.CPU
		}
	}
	require.Equal(t, b.reservations, reservations)
	for _, n := range listed(t, s.Nodes) {
		require.Equal(t, byNode[n.ID], n.Allocated.CPU, n.ID)
		require.Equal(t, held[n.ID], n.Held.CPU, n.ID)
		require.Empty(t, n.Over())
	}
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestKilledProcessLosesNothing(t *testing.T) {
	kills := 10
	if long() {
		kills = 200
	}
	dir := t.TempDir()
	prepareCrash(t, dir)
	b := books{make(map[string]instance), make(map[string]holding)}
	random := rand.New(rand.NewPCG(9, 9))
	acknowledged, open := 0, 0
	for round := range kills {
		after := time.Duration(random.IntN(400)) * time.Millisecond
		actions := runAndKill(t, dir, uint64(round), after, round%4 == 3)
		last := make(map[int]action)
		for _, a := range actions {
			if a.Done && !a.Failed {
				b.apply(a)
			}
			if a.Done {
				acknowledged++
			}
			last[a.Worker] = a
		}
		s, closeAll := reopen(t, dir)
		for _, a := range last {
			if !a.Done {
				open++
				b.settle(a, s)
			}
		}
		b.compare(t, s)
		compareReplays(t, dir, s, closeAll)
	}
	t.Logf("%d kills, %d calls acknowledged, %d under way when killed", kills, acknowledged, open)
	require.Positive(t, acknowledged)
	require.Positive(t, open)
}

func prepareCrash(t *testing.T, dir string) {
	t.Helper()
	s, closeAll := reopen(t, dir)
	for i := range 10 {
		require.NoError(t, s.AddNode(t.Context(), placement.Node{
			ID: fmt.Sprint("n", i), Capacity: placement.Resources{CPU: 4 * placement.Core},
		}))
	}
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 36 * placement.Core}, placement.NameInstances: {Soft: 100},
	}})
	require.NoError(t, err)
	closeAll()
}

func reopen(t *testing.T, dir string) (*scheduler.Scheduler, func()) {
	t.Helper()
	j, err := Open(dir, Config{})
	require.NoError(t, err)
	s, err := scheduler.Open(t.Context(), scheduler.Config{Journal: j})
	require.NoError(t, err)
	return s, func() {
		require.NoError(t, s.Close())
		require.NoError(t, j.Close())
	}
}

// compareReplays asserts that replaying twice gives the same bytes.
func compareReplays(t *testing.T, dir string, s *scheduler.Scheduler, closeAll func()) {
	t.Helper()
	var first, second bytes.Buffer
	require.NoError(t, s.WriteSnapshot(t.Context(), &first))
	closeAll()
	s, closeAll = reopen(t, dir)
	require.NoError(t, s.WriteSnapshot(t.Context(), &second))
	require.True(t, bytes.Equal(first.Bytes(), second.Bytes()))
	closeAll()
}

// runAndKill runs a child and returns what it wrote. It is killed some time
// after it was started, or after its first call: on a slow machine the
// journal may not be open before.
func runAndKill(t *testing.T, dir string, seed uint64, after time.Duration, fromStart bool) []action {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprint(crashSeed, "=", seed))
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	var complaint bytesBuffer
	child.Stderr = &complaint
	require.NoError(t, child.Start())
	kill := sync.OnceFunc(func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
	if fromStart {
		kill()
	}
	actions := readActions(t, out, kill)
	require.Error(t, child.Wait(), "it was killed")
	require.Empty(t, complaint.String())
	return actions
}

func readActions(t *testing.T, from io.Reader, seen func()) []action {
	t.Helper()
	var actions []action
	for lines := bufio.NewScanner(from); lines.Scan(); seen() {
		var a action
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		actions = append(actions, a)
	}
	return slices.Clip(actions)
}

// bytesBuffer is a buffer for two goroutines.
type bytesBuffer struct {
	mu   sync.Mutex
	data []byte
}

func (b *bytesBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *bytesBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}

// listed returns what one of the lists of a scheduler has, such as s.Nodes.
func listed[T any](t *testing.T, list func(context.Context) ([]T, error)) []T {
	t.Helper()
	all, err := list(t.Context())
	require.NoError(t, err)
	return all
}
