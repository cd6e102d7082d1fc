package transport_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/rads-project/constellation/transport"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A modelGroup is one member's part in one group: what waits, by sender, while
// it is joined, and what its handler was given.
type modelGroup struct {
	serving bool
	waiting map[string][]string
	got     map[string][]string
}

// A servedGroup is the real thing beside it.
type servedGroup struct {
	group  *transport.Group
	got    map[string][]string
	leave  context.CancelFunc
	served chan error
}

// muxWorld is two members, each with a Mux, in three groups that come and go,
// and a model of what each group must be given.
type muxWorld struct {
	muxes   map[string]*transport.Mux
	real    map[[2]string]*servedGroup
	model   map[[2]string]*modelGroup
	refused map[string]uint64
}

func TestMuxAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<10-1), 1, 60).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) { runMuxSteps(t, steps) })
	})
}

func runMuxSteps(t *testing.T, steps []int) {
	t.Helper()
	w := &muxWorld{
		muxes: map[string]*transport.Mux{}, real: map[[2]string]*servedGroup{},
		model: map[[2]string]*modelGroup{}, refused: map[string]uint64{},
	}
	w.muxes["a"], w.muxes["b"] = muxPair(t)
	names := []string{"x", "y", "z"}
	for i, step := range steps {
		from, to := "a", "b"
		if step&1 > 0 {
			from, to = to, from
		}
		group := names[step>>1%len(names)]
		switch key := [2]string{from, group}; step >> 4 % 4 {
		case 0:
			w.join(t, key)
		case 1:
			w.serve(t, key)
		case 2:
			w.leave(t, key)
		case 3:
			for n := range 1 + step>>7*20 { // Up to 140, more than may wait.
				w.send(t, key, to, strconv.Itoa(i)+"."+strconv.Itoa(n))
			}
		}
		synctest.Wait()
		w.check(t)
	}
	for key := range w.real {
		w.leave(t, key)
	}
}

func (w *muxWorld) join(t *testing.T, key [2]string) {
	t.Helper()
	g, err := w.muxes[key[0]].Join(key[1])
	if w.model[key] != nil {
		require.ErrorIs(t, err, transport.ErrNameTaken)
		return
	}
	require.NoError(t, err)
	w.real[key] = &servedGroup{group: g, got: map[string][]string{}, served: make(chan error, 1)}
	w.model[key] = &modelGroup{waiting: map[string][]string{}, got: map[string][]string{}}
}

func (w *muxWorld) serve(t *testing.T, key [2]string) {
	t.Helper()
	m, r := w.model[key], w.real[key]
	if m == nil || m.serving {
		return
	}
	m.serving = true
	ctx, cancel := context.WithCancel(t.Context())
	r.leave = cancel
	go func() {
		r.served <- r.group.Serve(ctx, func(from string, frame []byte) {
			r.got[from] = append(r.got[from], string(frame))
		})
	}()
	m.deliver()
}

func (w *muxWorld) leave(t *testing.T, key [2]string) {
	t.Helper()
	m, r := w.model[key], w.real[key]
	if m == nil {
		return
	}
	if !m.serving {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, r.group.Serve(ctx, nil))
	} else {
		r.leave()
		require.NoError(t, <-r.served)
	}
	require.ErrorIs(t, r.group.Send("b", nil), transport.ErrClosed)
	delete(w.model, key)
	delete(w.real, key)
}

func (w *muxWorld) send(t *testing.T, key [2]string, to, text string) {
	t.Helper()
	if w.model[key] == nil {
		return
	}
	require.NoError(t, w.real[key].group.Send(to, []byte(text)))
	synctest.Wait()
	m := w.model[[2]string{to, key[1]}]
	if m == nil {
		w.refused[to]++
		return
	}
	m.waiting[key[0]] = append(m.waiting[key[0]], text)
	if n := len(m.waiting[key[0]]); n > transport.QueueFrames {
		m.waiting[key[0]] = m.waiting[key[0]][n-transport.QueueFrames:]
	}
	m.deliver()
}

// deliver gives what waits to the handler, if there is one.
func (m *modelGroup) deliver() {
	if !m.serving {
		return
	}
	for from, texts := range m.waiting {
		m.got[from] = slices.Concat(m.got[from], texts)
	}
	clear(m.waiting)
}

func (w *muxWorld) check(t *testing.T) {
	t.Helper()
	for name, mux := range w.muxes {
		require.Equal(t, transport.MuxRefused{Group: w.refused[name]}, mux.Stats().Refused)
	}
	for key, m := range w.model {
		require.Equal(t, m.got, w.real[key].got, "group %s at %s", key[1], key[0])
		waiting := 0
		for _, texts := range m.waiting {
			waiting += len(texts)
		}
		require.Equal(t, waiting, w.real[key].group.Stats().Queued)
	}
}
