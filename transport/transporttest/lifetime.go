package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rads-project/constellation/transport"
)

func sendBeforeServe(r *rig) error {
	if err := r.within("Send before Serve", r.flood); err != nil {
		return fmt.Errorf("Send before Serve: %w", err)
	}
	r.start(r.a, r.b)
	return r.exchange(r.a, r.b, "serving now")
}

func serveWaitsForHandlers(r *rig) error {
	r.start(r.a)
	given, release := r.stuck()
	err := r.awaitFrame(given)
	if err == nil {
		r.b.cancel()
		select {
		case served := <-r.b.served:
			r.b.served <- served
			err = errors.New("the Serve of b has returned while its handler is running")
		case <-time.After(r.grace()):
		}
	}
	release()
	return err
}

// awaitFrame sends to b until its handler has a frame.
func (r *rig) awaitFrame(given *atomic.Int64) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(r.patience); given.Load() == 0; <-again.C {
		if err := r.a.Send("b", []byte("x")); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("no frame has arrived at b")
		}
	}
	return nil
}

func noHandlerAfterTheEnd(r *rig) error {
	r.start(r.a, r.c)
	var ended atomic.Bool
	late := make(chan error, 1)
	var given atomic.Int64
	r.serve(r.b, func(string, []byte) {
		given.Add(1)
		if ended.Load() {
			select {
			case late <- errors.New("the handler of b ran after its Serve had returned"):
			default:
			}
		}
	})
	if err := r.awaitFrame(&given); err != nil {
		return err
	}
	for range 10 { // Frames under way at the end.
		_ = r.a.Send("b", pattern(100))
	}
	if err := r.stop(r.b); err != nil {
		return err
	}
	ended.Store(true)
	for i := range 10 {
		for range 10 {
			if err := r.a.Send("b", pattern(100)); err != nil {
				return fmt.Errorf("Send to a member that has ended: %w", err)
			}
		}
		if err := r.exchange(r.a, r.c, fmt.Sprint("round ", i)); err != nil {
			return err
		}
	}
	select {
	case err := <-late:
		return err
	case <-time.After(r.grace()):
		return nil
	}
}

func closedAfterServe(r *rig) error {
	r.start(r.a, r.b)
	if err := r.exchange(r.a, r.b, "before"); err != nil {
		return err
	}
	if err := r.stop(r.a); err != nil {
		return err
	}
	if err := expect("Send after Serve", r.a.Send("b", []byte("x")), transport.ErrClosed); err != nil {
		return err
	}
	return r.within("a second Serve", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), r.patience)
		defer cancel()
		return expect("a second Serve", r.a.Serve(ctx, func(string, []byte) {}), transport.ErrClosed)
	})
}

func servedOnce(r *rig) error {
	r.start(r.a, r.b)
	if err := r.exchange(r.a, r.b, "first"); err != nil {
		return err
	}
	stolen := make(chan error, 1)
	if err := r.within("another Serve", func() error {
		return expect("another Serve", r.b.Serve(context.Background(), func(string, []byte) {
			select {
			case stolen <- errors.New("another Serve was given a frame"):
			default:
			}
		}), transport.ErrClosed)
	}); err != nil {
		return errors.Join(err, first(stolen))
	}
	return errors.Join(r.exchange(r.a, r.b, "still the first"), first(stolen))
}

func endsDespiteSlowPeer(r *rig) error {
	r.start(r.a)
	_, release := r.stuck()
	defer release()
	if err := r.within("Send to a peer whose handler does not return", r.flood); err != nil {
		return err
	}
	return r.stop(r.a)
}

func memberRestarts(r *rig) error {
	r.start(r.a, r.b)
	for i := range 3 {
		if err := r.exchange(r.a, r.b, fmt.Sprint("life ", i)); err != nil {
			return err
		}
		if err := r.stop(r.b); err != nil {
			return err
		}
		if err := r.a.Send("b", []byte("to nobody")); err != nil {
			return fmt.Errorf("Send to a member that has ended: %w", err)
		}
		r.b = r.member("b")
		r.start(r.b)
	}
	return r.exchange(r.a, r.b, "last life")
}
