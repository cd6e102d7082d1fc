package transport_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const modelLatency = 10 * ms

// A modelFrame is under way in the model.
type modelFrame struct {
	from, to, text string
	due            time.Duration
}

// A model is the simplest network that behaves like a Memory whose links all
// have the same latency: one list of frames.
type model struct {
	now      time.Duration
	under    []modelFrame
	cut      map[[2]string]bool
	serving  map[string]bool
	got      map[string][]arrival
	counters map[[2]string]*transport.PeerStats
}

func (m *model) count(from, to string) *transport.PeerStats {
	key := [2]string{from, to}
	if m.counters[key] == nil {
		m.counters[key] = &transport.PeerStats{}
	}
	return m.counters[key]
}

func (m *model) send(from, to, text string) {
	if m.cut[[2]string{from, to}] || !m.serving[to] {
		m.count(from, to).Dropped.Lost++
		return
	}
	onLink := func(f modelFrame) bool { return f.from == from && f.to == to }
	waiting := 0
	for _, f := range m.under {
		if onLink(f) {
			waiting++
		}
	}
	if waiting == transport.QueueFrames {
		oldest := slices.IndexFunc(m.under, onLink)
		m.under = slices.Delete(m.under, oldest, oldest+1)
		m.count(from, to).Dropped.Full++
	}
	m.under = append(m.under, modelFrame{from, to, text, m.now + modelLatency})
}

// wait passes time; what falls due arrives unless its link is cut.
func (m *model) wait(d time.Duration) {
	m.now += d
	var rest []modelFrame
	for _, f := range m.under {
		switch {
		case f.due > m.now:
			rest = append(rest, f)
		case m.cut[[2]string{f.from, f.to}]:
			m.count(f.from, f.to).Dropped.Lost++
		default:
			m.count(f.from, f.to).Sent++
			m.count(f.to, f.from).Received++
			m.got[f.to] = append(m.got[f.to], arrival{f.due, f.from, f.text})
		}
	}
	m.under = rest
}

// end stops a member: what is under way to it is lost.
func (m *model) end(name string) {
	m.under = slices.DeleteFunc(m.under, func(f modelFrame) bool {
		if f.to == name {
			m.count(f.from, f.to).Dropped.Lost++
		}
		return f.to == name
	})
	m.serving[name] = false
}

// A step is one operation of a random run.
type step struct {
	op       string
	from, to string
	n        int
}

func TestMemoryAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { checkMemory(t, rt) })
}

func FuzzMemory(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		rapid.MakeFuzz(func(rt *rapid.T) { checkMemory(t, rt) })(t, data)
	})
}

// checkMemory draws a run and lets it happen in a bubble, for rapid itself
// cannot live in one.
func checkMemory(t *testing.T, rt *rapid.T) {
	t.Helper()
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{
			op:   rapid.SampledFrom([]string{"send", "send", "wait", "wait", "cut", "mend", "heal", "end"}).Draw(rt, "op"),
			from: name.Draw(rt, "from"),
			to:   name.Draw(rt, "to"),
			n:    rapid.IntRange(0, 40).Draw(rt, "n"),
		}
	}), 0, 60).Draw(rt, "steps")
	var err error
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t)
		for i, s := range steps {
			if err = r.do(s); err != nil {
				err = fmt.Errorf("step %d, %+v: %w", i, s, err)
				return
			}
		}
	})
	require.NoError(rt, err)
}

// A run is a Memory and its model side by side.
type run struct {
	memory    *transport.Memory
	model     *model
	names     []string
	ends      map[string]*transport.Endpoint
	recorders map[string]*recorder
	stops     map[string]func()
	sent      int
}

func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{
		memory: newMemory(t, transport.MemoryConfig{
			Faults: transport.Faults{LatencyMin: modelLatency, LatencyMax: modelLatency},
		}),
		model: &model{
			cut: map[[2]string]bool{}, serving: map[string]bool{},
			got: map[string][]arrival{}, counters: map[[2]string]*transport.PeerStats{},
		},
		names: []string{"a", "b", "c"},
		ends:  map[string]*transport.Endpoint{}, recorders: map[string]*recorder{}, stops: map[string]func(){},
	}
	for _, name := range r.names {
		r.ends[name] = join(t, r.memory, name)
		r.recorders[name], r.stops[name] = record(t, r.ends[name])
		r.model.serving[name] = true
	}
	return r
}

// do takes a step in both and compares them.
func (r *run) do(s step) error {
	link := [2]string{s.from, s.to}
	switch s.op {
	case "send":
		for range s.n {
			if err := r.send(s.from, s.to); err != nil {
				return err
			}
		}
	case "wait":
		d := time.Duration(s.n) * ms / 2
		time.Sleep(d)
		r.model.wait(d)
	case "cut":
		r.memory.Cut(s.from, s.to)
		r.model.cut[link] = true
	case "mend":
		r.memory.Mend(s.from, s.to)
		delete(r.model.cut, link)
	case "heal":
		r.memory.Heal()
		clear(r.model.cut)
	case "end":
		r.stops[s.from]()
		r.model.end(s.from)
	}
	synctest.Wait()
	return r.compare()
}

func (r *run) send(from, to string) error {
	r.sent++
	text := strconv.Itoa(r.sent)
	err := r.ends[from].Send(to, []byte(text))
	var want error
	switch {
	case !r.model.serving[from]:
		want = transport.ErrClosed
	case from == to:
		want = transport.ErrUnknownPeer
	default:
		r.model.send(from, to, text)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("answered %w", err)
	}
	return nil
}

func (r *run) compare() error {
	for _, name := range r.names {
		if want, got := r.model.got[name], r.recorders[name].all(); !slices.Equal(want, got) {
			return fmt.Errorf("%s got %v, not %v", name, got, want)
		}
		for _, got := range r.ends[name].Stats().Peers {
			want := *r.model.count(name, got.Peer)
			want.Peer, want.RoundTrip = got.Peer, got.RoundTrip
			for _, f := range r.model.under {
				if f.from == name && f.to == got.Peer {
					want.Queued++
				}
			}
			if got != want {
				return fmt.Errorf("the counters of %s are %+v, not %+v", name, got, want)
			}
		}
	}
	return nil
}
