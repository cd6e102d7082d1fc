package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/cluster"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/tcp"
)

// reign is what a member tells that leads.
type reign struct {
	id    string
	token uint64
}

// member is one that runs.
type member struct {
	stop  context.CancelFunc
	ended <-chan error
	nodes <-chan *cluster.Node // has it once it runs
}

// fleet is a cluster on this machine.
type fleet struct {
	peers  map[string]string
	config map[string]cluster.Config
	reigns chan reign
}

// newFleet returns members that do not run yet, with a certificate each.
func newFleet(t *testing.T, ids ...string) *fleet {
	t.Helper()
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	f := &fleet{peers: freeAddresses(t, ids), config: make(map[string]cluster.Config), reigns: make(chan reign, 16)}
	for _, id := range ids {
		dir := t.TempDir()
		require.NoError(t, ca.WriteFiles(dir, 1, id))
		f.config[id] = cluster.Config{
			Name: "test", ID: id, Peers: f.peers, Dir: filepath.Join(dir, "state"),
			TLS: tcp.TLSFiles{
				Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"),
				Authorities: filepath.Join(dir, "ca.crt"),
			},
			ElectionTimeout: 500 * time.Millisecond, // The machine is shared.
		}
	}
	return f
}

// freeAddresses returns an address of this machine for each member.
func freeAddresses(t *testing.T, ids []string) map[string]string {
	t.Helper()
	addresses := make(map[string]string)
	for _, id := range ids {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		addresses[id] = listener.Addr().String()
	}
	return addresses
}

// run runs a member, which tells of its reigns.
func (f *fleet) run(t *testing.T, id string) *member {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	nodes, ended, cfg := make(chan *cluster.Node, 1), make(chan error, 1), f.config[id]
	go func() {
		ended <- cluster.Run(ctx, cfg, func(ctx context.Context, node *cluster.Node) error {
			nodes <- node
			return node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
				f.reigns <- reign{id, token}
				<-ctx.Done()
				return ctx.Err()
			})
		})
	}()
	m := &member{stop, ended, nodes}
	t.Cleanup(stop)
	return m
}

// end ends a member in good order.
func (m *member) end(t *testing.T) {
	t.Helper()
	m.stop()
	require.NoError(t, <-m.ended)
}

// One of three leads. When it ends, the lead goes to another with a greater token,
// and it may begin again on the state in its folder.
func TestLeadGoesFromMemberToMember(t *testing.T) {
	f := newFleet(t, "a", "b", "c")
	members := make(map[string]*member)
	for id := range f.config {
		members[id] = f.run(t, id)
	}
	last := <-f.reigns
	for range 3 {
		members[last.id].end(t)
		next := <-f.reigns
		require.NotEqual(t, last.id, next.id)
		require.Greater(t, next.token, last.token)
		members[last.id] = f.run(t, last.id)
		last = next
	}
	for _, m := range members {
		m.end(t)
	}
}

// Of two that work and a witness, two are enough, and the witness needs no function.
// words is a machine that keeps the commands.
type words struct {
	mu  sync.Mutex
	all []string
}

func (w *words) Apply(e raft.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == raft.EntryCommand {
		w.all = append(w.all, string(e.Data))
	}
}

func (w *words) Snapshot() io.WriterTo { return strings.NewReader(strings.Join(w.list(), " ")) }

func (w *words) Restore(r io.Reader) error {
	text, err := io.ReadAll(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = strings.Fields(string(text))
	return err
}

func (w *words) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// With a machine a cluster keeps a log: what was committed is there after all have
// ended.
func TestMembersKeepALog(t *testing.T) {
	f := newFleet(t, "a", "b", "c")
	for round, want := range [][]string{{"one"}, {"one", "two"}} {
		members, machines := make(map[string]*member), make(map[string]*words)
		for id, cfg := range f.config {
			machines[id] = new(words)
			cfg.Machine = machines[id]
			f.config[id] = cfg
			members[id] = f.run(t, id)
		}
		leader := <-f.reigns
		node := <-members[leader.id].nodes
		require.Eventually(t, func() bool { // once every member was heard
			_, err := node.Propose(t.Context(), leader.token, []byte(want[round]))
			return !errors.Is(err, raft.ErrNoLog)
		}, 10*time.Second, 10*time.Millisecond)
		for _, m := range machines {
			require.Eventually(t, func() bool { return slices.Equal(m.list(), want) }, 10*time.Second, 10*time.Millisecond)
		}
		for _, m := range members {
			m.end(t)
		}
		for len(f.reigns) > 0 { // of those that were handed the lead by one that ended
			<-f.reigns
		}
	}
}

func TestWitnessOnlyTakesPart(t *testing.T) {
	f := newFleet(t, "a", "b", "w")
	for id, cfg := range f.config {
		cfg.Witnesses = []string{"w"}
		f.config[id] = cfg
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx, f.config["w"], nil) }()
	a := f.run(t, "a")
	require.Equal(t, "a", (<-f.reigns).id)
	node := <-a.nodes
	require.ErrorIs(t, node.Transfer(t.Context(), "w"), raft.ErrWitness)
	a.end(t)
	stop()
	require.NoError(t, <-ended)
}

// A member that was not there at the beginning joins those that run.
func TestMemberJoins(t *testing.T) {
	f := newFleet(t, "a", "b")
	joins := f.config["b"]
	joins.Join = true
	f.config["b"] = joins
	founder := f.config["a"]
	founder.Peers = map[string]string{"a": f.peers["a"]}
	founder.MinTerm = 41
	f.config["a"] = founder

	a := f.run(t, "a")
	node := <-a.nodes
	require.Equal(t, reign{"a", 42}, <-f.reigns)
	require.ErrorIs(t, node.Transport.Send("b", nil), transport.ErrUnknownPeer)
	require.NoError(t, node.Transport.SetPeer("b", f.peers["b"]))
	require.NoError(t, node.AddMember(t.Context(), raft.Member{ID: "b"}))
	b := f.run(t, "b")
	require.Eventually(t, func() bool { return node.Promote(t.Context(), "b") == nil }, time.Minute, 10*time.Millisecond)
	require.NoError(t, node.Transfer(t.Context(), "b"))
	require.Equal(t, "b", (<-f.reigns).id)
	b.end(t)
	a.end(t)
}

// What the function returns before its time is what Run returns; the member has
// ended then, and nothing is left of it.
func TestRunEndsWithItsFunction(t *testing.T) {
	own := errors.New("enough")
	for _, want := range []error{own, nil, context.Canceled, raft.ErrStopped} {
		f := newFleet(t, "a")
		var node *cluster.Node
		err := cluster.Run(t.Context(), f.config["a"], func(_ context.Context, n *cluster.Node) error {
			node = n
			return want
		})
		require.Equal(t, want, err)
		require.True(t, node.Status().Stopped)
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", f.peers["a"])
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
}

// An error of the function as it is told to end is returned, unless it only says so.
func TestErrorOfAFunctionThatIsToEnd(t *testing.T) {
	own := errors.New("cannot clean up")
	for _, tt := range []struct{ returned, want error }{
		{own, own}, {nil, nil}, {context.Canceled, nil}, {raft.ErrStopped, nil}, {fmt.Errorf("work: %w", context.Canceled), nil},
	} {
		f := newFleet(t, "a")
		ctx, stop := context.WithCancel(t.Context())
		err := cluster.Run(ctx, f.config["a"], func(ctx context.Context, _ *cluster.Node) error {
			stop()
			<-ctx.Done()
			return tt.returned
		})
		require.Equal(t, tt.want != nil, err != nil)
		require.ErrorIs(t, err, tt.want)
	}
}

// A node that fails ends the ctx of the function with its error: here another
// process has the folder. Nothing listens any more.
func TestFunctionEndsWithTheNode(t *testing.T) {
	f := newFleet(t, "a")
	a := f.run(t, "a")
	<-f.reigns
	second := f.config["a"]
	second.Listen = "127.0.0.1:0"
	err := cluster.Run(t.Context(), second, func(ctx context.Context, _ *cluster.Node) error {
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), raft.ErrLocked)
		return context.Cause(ctx)
	})
	require.ErrorIs(t, err, raft.ErrLocked)
	a.end(t)
}

// Everything that is wrong is reported at once, before a folder is made or a port is
// taken.
func TestMistakes(t *testing.T) {
	whole := newFleet(t, "a", "b").config["a"]
	tests := []struct {
		name string
		bend func(c *cluster.Config)
		want []string
	}{
		{"everything", func(c *cluster.Config) { *c = cluster.Config{Witnesses: []string{"w"}} }, []string{
			`member "" is not among Peers`, `witness "w" is not among Peers`, "Dir is missing", "neither TLS nor Insecure",
		}},
		{"both", func(c *cluster.Config) { c.Insecure = true }, []string{"both TLS and Insecure"}},
		{"no such files", func(c *cluster.Config) { c.TLS.Certificate += "x"; c.Dir = "" }, []string{"no such file", "Dir is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := whole
			tt.bend(&cfg)
			err := cluster.Run(t.Context(), cfg, nil)
			for _, text := range tt.want {
				require.ErrorContains(t, err, text)
			}
			require.NoDirExists(t, whole.Dir)
		})
	}
}

// What packages raft and tcp refuse is reported together, and the port is free.
func TestMistakesOfTheParts(t *testing.T) {
	cfg := newFleet(t, "a", "b").config["a"]
	cfg.Name, cfg.ElectionTimeout = "", -1
	cfg.Peers["b"] = "nowhere"
	err := cluster.Run(t.Context(), cfg, nil)
	require.ErrorIs(t, err, raft.ErrConfig)
	require.ErrorContains(t, err, "election timeout")
	require.ErrorContains(t, err, `peer "b"`)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", cfg.Peers["a"])
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cfg.Dir = filepath.Join(file, "dir")
	require.Error(t, cluster.Run(t.Context(), cfg, nil), "a file is where the folder should be")
}

// The members are those of Peers, in an order that does not depend on the map.
func TestFounders(t *testing.T) {
	f := newFleet(t, "c", "a", "b")
	cfg := f.config["a"]
	cfg.Witnesses = []string{"b"}
	err := cluster.Run(t.Context(), cfg, func(ctx context.Context, node *cluster.Node) error {
		for s := range node.Watch(ctx) {
			if members := s.Configuration.Members; len(members) > 0 {
				require.True(t, slices.EqualFunc(members, []raft.Member{
					{ID: "a", Voter: true}, {ID: "b", Voter: true, Witness: true}, {ID: "c", Voter: true},
				}, func(m, want raft.Member) bool { return m == want }))
				return nil
			}
		}
		return errors.New("no configuration")
	})
	require.NoError(t, err)
}
