//go:build unix

package etcdjournal

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
	"github.com/rads-project/constellation/scheduler/lease"
)

// hostVariable has the binary of these tests serve as a host: what it does, the
// prefix or the key, and the address of etcd.
const hostVariable = "ETCDJOURNAL_HOST"

func TestMain(m *testing.M) {
	host, found := os.LookupEnv(hostVariable)
	if !found {
		os.Exit(m.Run())
	}
	if err := serveHost(context.Background(), strings.SplitN(host, "|", 3)); err != nil {
		log.Fatal(err)
	}
}

func serveHost(ctx context.Context, of []string) error {
	client, err := newClient(of[2])
	if err != nil {
		return err
	}
	if of[0] == "elect" {
		e, err := NewElector(client, ElectorConfig{Key: of[1], TTL: time.Second})
		if err != nil {
			return err
		}
		return journaltest.ServeElector(ctx, e.Elector, os.Stdout)
	}
	j, err := Open(ctx, client, Config{Prefix: of[1]})
	if err != nil {
		return err
	}
	return journaltest.Serve(ctx, j, os.Stdin, os.Stdout)
}

// child returns a process that is a host.
func child(does, key, address string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), hostVariable+"="+does+"|"+key+"|"+address)
	command.Stderr = os.Stderr
	return command
}

// often returns how often something is done, unless there is time.
func often(otherwise, long int) int {
	if os.Getenv("CONSTELLATION_LONG") != "" {
		return long
	}
	return otherwise
}

func open(tb testing.TB, client *clientv3.Client, prefix string) *Journal {
	tb.Helper()
	j, err := Open(tb.Context(), client, Config{Prefix: prefix})
	require.NoError(tb, err)
	return j
}

func TestConformance(t *testing.T) {
	address := startEtcd(t)
	var (
		journals atomic.Int64
		prefix   string
		behind   *proxy
		current  testing.TB
	)
	journaltest.Run(t, journaltest.Config{
		Shared: true, Rounds: often(200, 1000),
		New: func(tb testing.TB) func() scheduler.Journal {
			tb.Helper()
			prefix = fmt.Sprintf("%d/", journals.Add(1))
			behind, current = startProxy(tb, address), tb
			client := connect(tb, behind.address)
			return func() scheduler.Journal { return open(tb, client, prefix) }
		},
		Stall:   func() (<-chan struct{}, func()) { return behind.cut(0), behind.resume },
		Command: func() *exec.Cmd { return child("append", prefix, address) },
		Cut: func() (scheduler.Journal, func(int) <-chan struct{}) {
			own := startProxy(current, address)
			return open(current, connect(current, own.address), prefix), own.cut
		},
	})
}

func TestConformanceOfDebian(t *testing.T) {
	client := connect(t, startDebian(t))
	journaltest.Run(t, journaltest.Config{Shared: true, Light: true, Rounds: 50, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		prefix := tb.Name() + "/"
		return func() scheduler.Journal { return open(tb, client, prefix) }
	}})
}

func TestElector(t *testing.T) {
	address := startEtcd(t)
	proxies := [2]*proxy{startProxy(t, address), startProxy(t, address)}
	journaltest.RunElector(t, journaltest.ElectorConfig{
		Rounds:  often(9, 500),
		Command: func(replica int) *exec.Cmd { return child("elect", "leader", proxies[replica].address) },
		Cut:     func(replica, after int) { proxies[replica].cut(after) },
		Heal:    func(replica int) { proxies[replica].resume() },
	})
}

func TestTokensGrowForEver(t *testing.T) {
	client := connect(t, startEtcd(t))
	e, err := NewElector(client, ElectorConfig{Key: "leader", Data: []byte("here"), Logger: quiet()})
	require.NoError(t, err)
	var tokens []uint64
	for range 20 {
		require.NoError(t, e.WhileLeader(t.Context(), func(ctx context.Context, token uint64) error {
			tokens = append(tokens, token)
			leader, found, err := e.Leader(ctx)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, Leader{token, []byte("here")}, leader)
			return nil
		}))
		_, found, err := e.Leader(t.Context())
		require.NoError(t, err)
		require.False(t, found, "resigned")
	}
	require.IsIncreasing(t, tokens)
}

// TestLostLeaseEndsTheReign revokes the lease, and deletes the key, under a leader.
func TestLostLeaseEndsTheReign(t *testing.T) {
	client := connect(t, startEtcd(t))
	e, err := NewElector(client, ElectorConfig{Key: "leader", TTL: 3 * time.Second, Logger: quiet()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var causes []error
	err = e.WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
		switch len(causes) {
		case 0:
			leases, err := client.Leases(ctx)
			require.NoError(t, err)
			require.Len(t, leases.Leases, 1)
			_, err = client.Revoke(ctx, leases.Leases[0].ID)
			require.NoError(t, err)
		case 1:
			_, err := client.Delete(ctx, "leader")
			require.NoError(t, err)
		default:
			cancel()
		}
		<-ctx.Done()
		causes = append(causes, context.Cause(ctx))
		return ctx.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []error{lease.ErrLost, lease.ErrLost, context.Canceled}, causes)
}

func TestFollowOverACompaction(t *testing.T) {
	client := connect(t, startEtcd(t))
	j := open(t, client, "compacted/")
	require.NoError(t, j.Acquire(t.Context(), 1))
	seen := uint64(0)
	for record, err := range j.Follow(t.Context(), 0) {
		require.NoError(t, err)
		if record.Kind == scheduler.RecordCurrent {
			require.Equal(t, seen, record.Seq)
			if seen == 5 {
				break
			}
			require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{{Seq: seen + 1, Kind: scheduler.RecordEntry, Data: []byte("entry")}}))
			now, err := client.Get(t.Context(), "compacted/token")
			require.NoError(t, err)
			_, err = client.Compact(t.Context(), now.Header.Revision)
			require.NoError(t, err)
			continue
		}
		seen++
		require.Equal(t, seen, record.Seq)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{}, {Prefix: "p", MaxRequest: -1}, {Prefix: "p", MaxRequest: 5}} {
		_, err := Open(t.Context(), nil, cfg)
		require.ErrorIs(t, err, scheduler.ErrInvalid)
	}
	for _, cfg := range []ElectorConfig{{}, {Key: "k", TTL: -1}, {Key: "k", TTL: 1500 * time.Millisecond}} {
		_, err := NewElector(nil, cfg)
		require.ErrorIs(t, err, scheduler.ErrInvalid)
	}
}

// TestSnapshotsMakeRoom looks into the store: what a snapshot replaces is gone.
func TestSnapshotsMakeRoom(t *testing.T) {
	client := connect(t, startEtcd(t))
	j, err := Open(t.Context(), client, Config{Prefix: "room/", MaxRequest: 1 << 10})
	require.NoError(t, err)
	require.NoError(t, j.Acquire(t.Context(), 1))
	long := make([]byte, 5000)
	for seq := uint64(1); seq <= 3; seq++ {
		for _, record := range []scheduler.Record{
			{Seq: seq, Kind: scheduler.RecordEntry, Data: long},
			{Seq: seq, Kind: scheduler.RecordSnapshotPart, Data: long},
			{Seq: seq, Part: 1, Kind: scheduler.RecordSnapshot, Data: []byte("last")},
		} {
			require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{record}))
		}
		found, err := client.Get(t.Context(), "room/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		require.NoError(t, err)
		require.EqualValues(t, 2+2+5, found.Count, "token, head, parts, and pieces of one")
	}
}
