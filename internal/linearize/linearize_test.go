package linearize

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

const (
	clients   = 5
	instances = 6
	asked     = 150 // questions of a client
)

// seeds is how many runs there are.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CONSTELLATION_LONG"), 10, 64); err == nil {
		return n
	}
	return 5
}

// TestLinearizable: what clients of a troubled service are told could have been told by
// one scheduler that does one thing after the other.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	for seed := range seeds() {
		history := run(t, seed, false)
		require.Greater(t, len(history), clients*asked/2, "clients were answered")
		result := porcupine.CheckOperationsTimeout(model(), history, time.Minute)
		require.Equal(t, porcupine.Ok, result, "seed %d, %d operations", seed, len(history))
	}
}

// TestStaleReadsAreNoticed: reads of whichever replica are older than what was told
// before.
func TestStaleReadsAreNoticed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		if porcupine.CheckOperationsTimeout(model(), run(t, seed, true), time.Minute) == porcupine.Illegal {
			return
		}
	}
	require.Fail(t, "no stale read was noticed")
}

// run has clients ask a service in trouble. With anywhere they look at whichever
// replica, and not at the leader.
func run(t *testing.T, seed uint64, anywhere bool) (history []porcupine.Operation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, seed)
		ctx, end := context.WithCancel(t.Context())
		for _, node := range []string{"n1", "n2", "n3"} {
			n := placement.Node{ID: node, Capacity: placement.Resources{CPU: 64 * placement.Core}}
			require.NoError(t, s.awaitLeader().AddNode(ctx, n))
		}
		var troubled, asking sync.WaitGroup
		troubled.Go(func() { s.trouble(ctx, t, rand.New(rand.NewPCG(seed, 1))) })
		var clock atomic.Int64
		recorders := make([]*recorder, clients)
		for i := range recorders {
			recorders[i] = &recorder{client: i, clock: &clock}
			asking.Go(func() { s.ask(ctx, recorders[i], rand.New(rand.NewPCG(seed, 2+uint64(i))), anywhere) })
		}
		asking.Wait()
		end()
		troubled.Wait()
		s.stop()
		history = merge(recorders)
	})
	return history
}

// ask is one client.
func (s *service) ask(ctx context.Context, r *recorder, dice *rand.Rand, anywhere bool) {
	for range asked {
		q := question{[]verb{place, release, look, look}[dice.IntN(4)], fmt.Sprint("i", dice.IntN(instances))}
		if view := s.view(ids()[dice.IntN(3)]); anywhere && q.verb == look && view != nil {
			r.ask(q, func() answer { return shown(ctx, view, q.id) })
		} else {
			leader := s.awaitLeader()
			r.ask(q, func() answer { return do(ctx, leader, q) })
		}
		time.Sleep(time.Duration(dice.IntN(200)) * time.Millisecond)
	}
}

// TestModel: the checker tells right histories from wrong ones.
func TestModel(t *testing.T) {
	t.Parallel()
	op := func(call, end int64, v verb, a answer) porcupine.Operation {
		return porcupine.Operation{Input: question{v, "i"}, Output: a, Call: call, Return: end}
	}
	on := func(node string) answer { return answer{node: node} }
	tests := []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"placed and seen", []porcupine.Operation{op(1, 2, place, on("n1")), op(3, 4, look, on("n1"))}, true},
		{"placed and not seen", []porcupine.Operation{op(1, 2, place, on("n1")), op(3, 4, look, on(""))}, false},
		{"placed twice elsewhere", []porcupine.Operation{op(1, 2, place, on("n1")), op(3, 4, place, on("n2"))}, false},
		{"seen while it is placed", []porcupine.Operation{op(1, 4, place, on("n1")), op(2, 3, look, on("n1"))}, true},
		{"lost and seen", []porcupine.Operation{op(1, 99, place, answer{lost: true}), op(3, 4, look, on("n1")), op(5, 6, look, on("n1"))}, true},
		{"lost and seen on two", []porcupine.Operation{op(1, 99, place, answer{lost: true}), op(3, 4, look, on("n1")), op(5, 6, look, on("n2"))}, false},
		{"lost and not seen", []porcupine.Operation{op(1, 99, place, answer{lost: true}), op(3, 4, look, on(""))}, true},
		{"released and seen", []porcupine.Operation{op(1, 2, place, on("n1")), op(3, 4, release, on(somewhere)), op(5, 6, look, on("n1"))}, false},
		{"released twice", []porcupine.Operation{op(1, 2, place, on("n1")), op(3, 4, release, on(somewhere)), op(5, 6, release, on(somewhere))}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, porcupine.CheckOperations(model(), tt.history))
		})
	}
}
