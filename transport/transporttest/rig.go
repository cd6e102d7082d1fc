package transporttest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
)

// A rig is the network of one case, with the members a, b and c.
type rig struct {
	join     func(name string) transport.Transport
	maxFrame int
	patience time.Duration
	a, b, c  *member
	running  []*member
}

func newRig(tb testing.TB, cfg Config, patience time.Duration) *rig {
	tb.Helper()
	r := &rig{
		join:     cfg.Network(tb, []string{"a", "b", "c"}),
		maxFrame: cfg.MaxFrame,
		patience: patience,
	}
	r.a, r.b, r.c = r.member("a"), r.member("b"), r.member("c")
	return r
}

// A member is a transport and what has arrived at it.
type member struct {
	transport.Transport

	name     string
	arrivals chan arrival
	cancel   context.CancelFunc
	served   chan error
}

// An arrival is a frame that a handler was given, copied.
type arrival struct {
	from  string
	frame []byte
}

func (r *rig) member(name string) *member {
	return &member{
		Transport: r.join(name),
		name:      name,
		// A handler must not wait for the check, so what does not fit is
		// dropped: a loss, which the contract allows.
		arrivals: make(chan arrival, 1000),
		served:   make(chan error, 1),
	}
}

// grace is how long a check looks out for what must not happen.
func (r *rig) grace() time.Duration { return r.patience / 100 }

// start serves the members and notes what arrives.
func (r *rig) start(members ...*member) {
	for _, m := range members {
		r.serve(m, m.note)
	}
}

func (m *member) note(from string, frame []byte) {
	select {
	case m.arrivals <- arrival{from, bytes.Clone(frame)}:
	default:
	}
}

// serve serves m with handle.
func (r *rig) serve(m *member, handle func(from string, frame []byte)) {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	r.running = append(r.running, m)
	go func() { m.served <- m.Serve(ctx, handle) }()
}

// stop ends m's Serve and waits for it.
func (r *rig) stop(m *member) error {
	m.cancel()
	select {
	case err := <-m.served:
		m.served <- err // For whoever asks again.
		if err != nil {
			return fmt.Errorf("the Serve of %s answered %w at the end of its context, not nil", m.name, err)
		}
		return nil
	case <-time.After(r.patience):
		return fmt.Errorf("the Serve of %s has not returned %v after its context ended", m.name, r.patience)
	}
}

func (r *rig) stopAll() error {
	for _, m := range r.running {
		m.cancel()
	}
	for _, m := range r.running {
		if err := r.stop(m); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends frame until it arrives, for a single one may be lost.
func (r *rig) deliver(from, to *member, frame []byte) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(r.patience)
	for {
		if err := from.Send(to.name, frame); err != nil {
			return fmt.Errorf("Send from %s to %s: %w", from.name, to.name, err)
		}
		for waiting := true; waiting; {
			select {
			case got := <-to.arrivals:
				if got.from == from.name && bytes.Equal(got.frame, frame) {
					return nil
				}
			case <-again.C:
				waiting = false
			case <-deadline:
				return fmt.Errorf("no frame of %d bytes from %s has arrived at %s within %v",
					len(frame), from.name, to.name, r.patience)
			}
		}
	}
}

// exchange delivers a frame each way between two members. It also lets time
// pass in which other things would show.
func (r *rig) exchange(x, y *member, text string) error {
	if err := r.deliver(x, y, []byte(text+" there")); err != nil {
		return err
	}
	return r.deliver(y, x, []byte(text+" back"))
}

// within runs f, which must not block, and reports whether it did.
func (r *rig) within(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(r.patience):
		return fmt.Errorf("%s has not returned within %v", what, r.patience)
	}
}
