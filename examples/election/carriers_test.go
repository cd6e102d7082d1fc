package main

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// The same election runs over each transport: one leads, and when it ends,
// another leads in a later term.
func TestElectionOverEachTransport(t *testing.T) {
	tests := []struct {
		name string
		// carriers makes the transports of the members.
		carriers func(t *testing.T, names []string) map[string]raft.Transport
	}{
		{"Memory", memoryCarriers},
		{"TCP", tcpCarriers},
		{"HTTP", httpCarriers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names := []string{"a", "b", "c"}
			var members []raft.Member
			for _, name := range names {
				members = append(members, raft.Member{ID: name, Voter: true})
			}
			reigns := make(chan reign, 100)
			ends := make(map[string]func())
			for name, carrier := range tt.carriers(t, names) {
				node, err := raft.New(raft.Config{
					Cluster: "test", ID: name, Start: raft.Bootstrap(0, members...),
					Store: new(raft.MemoryStore), Transport: carrier,
				})
				require.NoError(t, err)
				ends[name] = runUntil(t, node, name, reigns)
			}
			first := awaitReign(t, reigns, func(reign) bool { return true })
			ends[first.member]()
			awaitReign(t, reigns, func(r reign) bool { return r.member != first.member && r.term > first.term })
		})
	}
}

// A reign is the beginning of one.
type reign struct {
	member string
	term   uint64
}

// runUntil runs node until the returned function is called or the test ends,
// and notes its reigns.
func runUntil(t *testing.T, node *raft.Node, name string, reigns chan<- reign) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	failed := make(chan error, 1)
	running.Go(func() { failed <- node.Run(ctx) })
	running.Go(func() {
		_ = node.WhileLeader(context.Background(), func(ctx context.Context, token uint64) error {
			reigns <- reign{name, token}
			<-ctx.Done()
			return nil
		}) // It ends with the node.
	})
	end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		require.NoError(t, <-failed)
	})
	t.Cleanup(end)
	return end
}

// awaitReign waits for a reign that is as wanted.
func awaitReign(t *testing.T, reigns <-chan reign, wanted func(reign) bool) reign {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case r := <-reigns:
			if wanted(r) {
				return r
			}
		case <-deadline:
			require.FailNow(t, "nobody leads")
		}
	}
}

func memoryCarriers(t *testing.T, names []string) map[string]raft.Transport {
	t.Helper()
	network, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(t, err)
	carriers := make(map[string]raft.Transport)
	for _, name := range names {
		carriers[name], err = network.Join(name)
		require.NoError(t, err)
	}
	return carriers
}

func tcpCarriers(t *testing.T, names []string) map[string]raft.Transport {
	t.Helper()
	listeners, addresses := make(map[string]net.Listener), make(map[string]string)
	for _, name := range names {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[name], addresses[name] = listener, listener.Addr().String()
	}
	carriers := make(map[string]raft.Transport)
	for _, name := range names {
		var err error
		carriers[name], err = tcp.New(tcp.Config{
			Cluster: "test", Name: name, Listener: listeners[name], Peers: without(addresses, name), Insecure: true,
		})
		require.NoError(t, err)
	}
	return carriers
}

// httpCarriers gives each member a server, as a service has one anyway.
func httpCarriers(t *testing.T, names []string) map[string]raft.Transport {
	t.Helper()
	muxes, addresses := make(map[string]*http.ServeMux), make(map[string]string)
	for _, name := range names {
		muxes[name] = http.NewServeMux()
		server := httptest.NewServer(muxes[name])
		t.Cleanup(server.Close)
		addresses[name] = server.URL + "/internal/election"
	}
	carriers := make(map[string]raft.Transport)
	for _, name := range names {
		carrier, err := httptransport.New(httptransport.Config{
			Cluster: "test", Name: name, Peers: without(addresses, name), Insecure: true,
		})
		require.NoError(t, err)
		muxes[name].Handle("/internal/election", carrier)
		carriers[name] = carrier
	}
	return carriers
}

// without returns addresses but that of one member.
func without(addresses map[string]string, name string) map[string]string {
	others := maps.Clone(addresses)
	delete(others, name)
	return others
}
