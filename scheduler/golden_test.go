package scheduler

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenHistory makes every kind of change with every field set.
func goldenHistory(t *testing.T, s *Scheduler, c *clock) {
	t.Helper()
	ctx := t.Context()
	n := placement.Node{
		ID: "n1", Name: "first",
		Capacity: placement.Resources{
			CPU: 32 * placement.Core, Memory: 128 * placement.GiB, Disk: placement.TB, Network: 10 * placement.Gbps,
			Custom: map[string]int64{"licence": 4},
		},
		Reserved:      placement.Resources{CPU: placement.Core},
		Devices:       placement.Devices{Count: 3, Model: "A100", Broken: []int{2}},
		ReservedPorts: append(tcp(22), udp(53)...), DynamicPorts: placement.PortRange{First: 20000, Last: 32000},
		MaxInstances: 20,
		Overcommit:   map[placement.ResourceName]placement.Ratio{placement.NameCPU: {Numerator: 3, Denominator: 2}},
		Labels:       map[string]string{"zone": "a", "kernel": "6.1.0"},
		Taints:       []placement.Taint{{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule}},
	}
	require.NoError(t, s.AddNode(ctx, n))
	require.NoError(t, s.AddNode(ctx, testNode("n2", 8)))
	_, err := s.CreateQuota(ctx, quota.Spec{Namespace: "org", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 1000, BurstPercent: 400, BurstFor: time.Minute}, placement.NameInstances: {Soft: 10},
	}})
	require.NoError(t, err)
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "ml", Parent: "org", Default: true})
	require.NoError(t, err)
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "old"})
	require.NoError(t, err)
	require.NoError(t, s.DeleteQuota(ctx, "old"))
	c.advance(time.Second)
	place(t, s, placement.Request{
		ID: "train-1", Namespace: "ml", Group: "train", Labels: map[string]string{"app": "train"},
		Resources: placement.Resources{CPU: 1500, Memory: placement.GiB, GPU: 400, Custom: map[string]int64{"licence": 1}},
		Ports:     append(tcp(8080), udp(53000)...), DynamicPorts: 2, Priority: 5, Duration: time.Minute,
		Preferences: placement.Use(placement.Spread).
			Require(placement.And(placement.In("zone", "a", "b"), placement.Not(placement.Exists("old"))), placement.Version("kernel", ">= 5.4, < 7"), placement.SemVer("kernel", "> 6.1.0-rc.1")).
			Prefer(placement.Matches("zone", "^a"), 30).
			PreferScaled("load", -40).
			TolerateEqual("dedicated", "gpu").
			Tolerate(placement.TolerateExists("bad").OnlyFor(placement.NoExecute).AtMost(30)).
			Near(placement.Repel(placement.Equal("app", "db")), placement.Attract(placement.Exists("app")).Within("zone").Among("ml", "web").Weighing(10)).
			Across(placement.EvenlyOver("zone", 2).Needing(1), placement.ShareOver("zone", map[string]int{"a": 70}, 20)),
	})
	place(t, s, testRequest("web-1", 2))
	_, err = s.UpdateQuota(ctx, quota.Spec{Namespace: "ml", Parent: "org"})
	require.NoError(t, err)
	_, err = s.Resize(ctx, "web-1", placement.Resources{CPU: 3 * placement.Core})
	require.NoError(t, err)
	require.NoError(t, s.AddTaint(ctx, "n1", noExecute("bad")))
	require.NoError(t, s.Cordon(ctx, "n2"))
	require.NoError(t, s.Uncordon(ctx, "n2"))
	require.NoError(t, s.MarkLost(ctx, "n1"))
	c.advance(2 * time.Minute)
	_, err = s.Sweep(ctx)
	require.NoError(t, err)
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.NoError(t, s.Leave(ctx, "web-1"))
	require.NoError(t, s.Stay(ctx, "web-1"))
	require.NoError(t, s.Leave(ctx, "web-1"))
	require.NoError(t, s.Release(ctx, "web-1"))
	goldenReservations(t, s, c)
	require.NoError(t, s.SetWorkload(ctx, []WorkloadClass{
		{Resources: placement.Resources{CPU: placement.Core, GPU: 500}, Models: []string{"A100"}, Count: 3},
		{Resources: placement.Resources{CPU: placement.Core}, Count: 1},
	}))
	_, err = s.AdoptNode(ctx, testNode("n3", 4), []Report{{Request: testRequest("adopted", 2), Generation: 3}})
	require.NoError(t, err)
	_, err = s.RemoveNode(ctx, "n2")
	require.NoError(t, err)
	require.NoError(t, s.Leave(ctx, "adopted"))
	require.NoError(t, s.AddNode(ctx, testNode("n4", 4)))
	_, err = s.Move(ctx, "adopted", "n4")
	require.NoError(t, err)
	_, err = s.KeepGeneration(ctx, "adopted", 3)
	require.NoError(t, err)
	amended := testRequest("adopted", 2)
	amended.DynamicPorts = 1
	amended.Labels = map[string]string{"role": "leader"}
	_, err = s.UpdateNode(ctx, placement.Node{
		ID: "n3", Capacity: placement.Resources{CPU: 4 * placement.Core}, DynamicPorts: placement.PortRange{First: 30000, Last: 30009},
	})
	require.NoError(t, err)
	_, err = s.Amend(ctx, "adopted", amended)
	require.NoError(t, err)
	goldenAttached(t, s)
}

func goldenAttached(t *testing.T, s *Scheduler) {
	t.Helper()
	addNodes(t, s, testNode("n5", 8))
	reserve(t, s, holding("again", 2, 2))
	again := Report{Request: testRequest("stood", 2), Reservation: "again"}
	again.Request.Duration = time.Minute
	_, err := s.AdoptNode(t.Context(), testNode("n5", 8), []Report{again})
	require.NoError(t, err)
}

func goldenReservations(t *testing.T, s *Scheduler, c *clock) {
	t.Helper()
	ctx := t.Context()
	launch := reservation.Spec{
		ID: "launch", Namespace: "web", Shape: placement.Resources{CPU: 2 * placement.Core}, Count: 2,
		Start: c.Now().Add(time.Hour), Duration: time.Hour, Owners: []string{"web", "ops"}, Priority: 3,
		Preferences: placement.Use(placement.BinPack).TolerateExists("dedicated").TolerateExists("bad"),
	}
	_, err := s.Reserve(ctx, launch)
	require.NoError(t, err)
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "now", Namespace: "ns", Shape: placement.Resources{CPU: placement.Core}, Count: 1, Node: "n2",
		Duration: 10 * time.Minute, AtEnd: reservation.Evict, Grace: time.Minute,
	})
	require.NoError(t, err)
	_, err = s.PlaceFromReservation(ctx, "now", testRequest("claimed", 1))
	require.NoError(t, err)
	require.NoError(t, s.Unclaim(ctx, "claimed"))
	_, err = s.PlaceFromReservation(ctx, "now", testRequest("claimed", 1))
	require.NoError(t, err)
	_, err = s.Extend(ctx, "now", c.Now().Add(20*time.Minute))
	require.NoError(t, err)
	c.advance(30 * time.Minute)
	_, err = s.Sweep(ctx)
	require.NoError(t, err)
	goldenLending(t, s)
}

func goldenLending(t *testing.T, s *Scheduler) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Reserve(ctx, reservation.Spec{
		ID: "lent", Shape: placement.Resources{CPU: 7 * placement.Core}, Count: 1, Node: "n2",
		Duration: time.Minute, Lend: true, Notice: time.Second,
	})
	require.NoError(t, err)
	guest := placement.Request{ID: "guest", Resources: placement.Resources{CPU: 7 * placement.Core}, Yield: true}
	_, err = s.Allocate(ctx, "n2", guest)
	require.NoError(t, err)
	owner := placement.Request{ID: "owner", Resources: placement.Resources{CPU: 7 * placement.Core}}
	_, err = s.PlaceFromReservation(ctx, "lent", owner)
	require.ErrorIs(t, err, reservation.ErrWaiting)
	require.NoError(t, s.Unclaim(ctx, "owner"))
	require.NoError(t, s.Release(ctx, "guest"))
	require.NoError(t, s.ReleaseReservation(ctx, "lent", false))
}

// TestGoldenHistory pins the encoding: what a journal of this version holds,
// and the snapshot at its end, as bytes and as they are shown. Later versions read
// these files too.
func TestGoldenHistory(t *testing.T) {
	journal, c := new(MemoryJournal), newClock()
	s := open(t, Config{Journal: journal, Now: c.Now, RememberReleased: 4})
	goldenHistory(t, s, c)
	var entries, shown, shownSnapshot bytes.Buffer
	for _, r := range records(t, journal) {
		require.NoError(t, writePart(&entries, r))
	}
	require.NoError(t, WriteJSON(&shown, journal.Records(t.Context())))
	golden(t, "entries.jsonl", shown.Bytes())
	golden(t, "entries.bin", entries.Bytes())
	books := snapshot(t, s)
	require.NoError(t, WriteJSON(&shownSnapshot, ReadSnapshot(strings.NewReader(books))))
	golden(t, "snapshot.jsonl", shownSnapshot.Bytes())
	golden(t, "snapshot.bin", []byte(books))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "v1", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(lines(want), lines(got)), name)
}

func lines(text []byte) []string { return strings.Split(string(text), "\n") }

// goldenRecords reads the entries of a version back.
func goldenRecords(tb testing.TB, version string) []Record {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", version, "entries.bin"))
	require.NoError(tb, err)
	var all []Record
	for file := bytes.NewReader(data); file.Len() > 0; {
		data, err := readData(file, nil)
		require.NoError(tb, err)
		all = append(all, Record{Seq: uint64(len(all) + 1), Kind: RecordEntry, Data: data})
	}
	return all
}

func TestEveryVersionIsReadable(t *testing.T) {
	versions, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, version := range versions {
		if version.Name()[0] != 'v' {
			continue
		}
		journal := &brokenJournal{records: goldenRecords(t, version.Name())}
		s := open(t, Config{Journal: journal, Now: newClock().Now, RememberReleased: 4})
		want, err := os.ReadFile(filepath.Join("testdata", version.Name(), "snapshot.bin"))
		require.NoError(t, err)
		require.Equal(t, string(want), snapshot(t, s), version.Name())

		restored, err := Restore(t.Context(), Config{Now: newClock().Now, RememberReleased: 4}, bytes.NewReader(want))
		require.NoError(t, err)
		require.Equal(t, string(want), snapshot(t, restored))
	}
}

// messageIn returns the message in a record, without what guards it.
func messageIn(tb testing.TB, r Record) []byte {
	tb.Helper()
	data, err := unseal(r)
	require.NoError(tb, err)
	return data
}

// sealed returns a record around a message.
func sealed(seq uint64, kind RecordKind, message []byte) Record {
	return Record{Seq: seq, Kind: kind, Data: seal(append(begin(nil, kind), message...), 0)}
}

// FuzzReplay feeds journals with any message in an entry: they are read or refused,
// never more, and what is read is written again with the same bytes.
func FuzzReplay(f *testing.F) {
	good := goldenRecords(f, "v1")
	for _, r := range good {
		f.Add(uint8(r.Seq-1), messageIn(f, r))
	}
	f.Fuzz(func(t *testing.T, before uint8, data []byte) {
		p := replayer{cfg: Config{RememberReleased: 4}}
		p.st = newState(p.cfg)
		for _, r := range good[:min(int(before), len(good))] {
			require.NoError(t, p.replay(r))
		}
		r := sealed(p.st.seq+1, RecordEntry, data)
		if e, err := decodeEntry(&p.coder, r); err == nil {
			require.Equal(t, string(r.Data), string(e.encode(&p.coder, nil)))
		}
		if err := p.replay(r); err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		p.st.snapshot(t)
	})
}

// streamOf returns the stream of items of a snapshot.
func streamOf(tb testing.TB, books []byte) []byte {
	tb.Helper()
	var stream []byte
	for r, err := range ReadSnapshot(bytes.NewReader(books)) {
		require.NoError(tb, err)
		var p snapshotPart
		require.NoError(tb, codec.Read(new(codec.Coder), messageIn(tb, r), &p, partFields))
		stream = append(stream, p.piece...)
	}
	return stream
}

// FuzzSnapshot feeds snapshots of any items.
func FuzzSnapshot(f *testing.F) {
	books, err := os.ReadFile(filepath.Join("testdata", "v1", "snapshot.bin"))
	require.NoError(f, err)
	f.Add(streamOf(f, books), uint64(1))
	f.Fuzz(func(t *testing.T, stream []byte, seq uint64) {
		cfg := Config{RememberReleased: 4}
		p := replayer{cfg: cfg, st: newState(cfg)}
		data := codec.Write(&p.coder, nil, &snapshotPart{seq: seq, piece: stream}, partFields)
		if err := p.replay(sealed(seq, RecordSnapshot, data)); err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		first := p.st.snapshot(t)
		again := replayer{cfg: cfg, st: newState(cfg)} // Restore would let the time pass that is since
		for record, err := range ReadSnapshot(strings.NewReader(first)) {
			require.NoError(t, err)
			require.NoError(t, again.replay(record))
		}
		require.Equal(t, first, again.st.snapshot(t))
	})
}
