package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
)

// pattern returns a frame of n bytes that tells its length.
func pattern(n int) []byte {
	frame := make([]byte, n)
	for i := range frame {
		frame[i] = byte(i*7 + n + i>>8)
	}
	return frame
}

func intact(r *rig) error {
	changed := make(chan error, 1)
	r.serve(r.b, func(from string, frame []byte) {
		before := crc32.ChecksumIEEE(frame)
		r.b.note(from, frame)
		if !bytes.Equal(frame, pattern(len(frame))) || crc32.ChecksumIEEE(frame) != before {
			select {
			case changed <- fmt.Errorf("a frame of %d bytes is not what was sent", len(frame)):
			default:
			}
		}
	})
	r.start(r.a)
	for _, n := range []int{0, 1, 2, 100, r.maxFrame / 2, r.maxFrame - 1, r.maxFrame} {
		if err := r.deliver(r.a, r.b, pattern(n)); err != nil {
			return err
		}
	}
	select {
	case err := <-changed:
		return err
	default:
		return nil
	}
}

func everyoneToEveryone(r *rig) error {
	members := []*member{r.a, r.b, r.c}
	wrong := make(chan error, 1)
	for _, m := range members {
		r.serve(m, func(from string, frame []byte) {
			if want := from + " to " + m.name; string(frame) != want {
				select {
				case wrong <- fmt.Errorf("%s got %q under the name %q", m.name, frame, from):
				default:
				}
			}
			m.note(from, frame)
		})
	}
	for range 10 {
		for _, x := range members {
			for _, y := range members {
				if x == y {
					continue
				}
				if err := r.deliver(x, y, []byte(x.name+" to "+y.name)); err != nil {
					return errors.Join(err, first(wrong))
				}
			}
		}
	}
	return first(wrong)
}

// first returns the error in ch, if there is one.
func first(ch <-chan error) error {
	select {
	case err := <-ch:
		return err
	default:
		return nil
	}
}

func sendCopies(r *rig) error {
	r.start(r.a, r.b)
	// With a connection made, frames of the loop are likely to arrive.
	if err := r.deliver(r.a, r.b, []byte("first")); err != nil {
		return err
	}
	for range 20 {
		frame := bytes.Repeat([]byte("o"), 100)
		if err := r.a.Send("b", frame); err != nil {
			return err
		}
		copy(frame, bytes.Repeat([]byte("X"), len(frame)))
		if err := r.overwritten(); err != nil {
			return err
		}
	}
	return nil
}

// overwritten waits for a frame at b and reports an X in it.
func (r *rig) overwritten() error {
	select {
	case got := <-r.b.arrivals:
		if bytes.ContainsRune(got.frame, 'X') {
			return errors.New("a frame shows what the caller wrote into its slice after Send")
		}
	case <-time.After(r.grace()): // Lost.
	}
	return nil
}

func unknownPeer(r *rig) error {
	r.start(r.a)
	for _, name := range []string{"nobody", "", "a"} {
		what := fmt.Sprintf("Send from a to %q", name)
		if err := expect(what, r.a.Send(name, []byte("x")), transport.ErrUnknownPeer); err != nil {
			return err
		}
	}
	return nil
}

// expect reports an answer of what that is not want.
func expect(what string, got, want error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s answered %q, not %q", what, fmt.Sprint(got), want.Error())
}

func tooLarge(r *rig) error {
	r.start(r.a)
	what := fmt.Sprintf("Send of %d bytes", r.maxFrame+1)
	if err := expect(what, r.a.Send("b", make([]byte, r.maxFrame+1)), transport.ErrTooLarge); err != nil {
		return err
	}
	if err := r.a.Send("b", make([]byte, r.maxFrame)); err != nil {
		return fmt.Errorf("Send of %d bytes, the limit: %w", r.maxFrame, err)
	}
	return nil
}

func handlerMaySend(r *rig) error {
	r.start(r.a)
	r.serve(r.b, func(from string, frame []byte) {
		// An error shows as an answer that does not come.
		_ = r.b.Send(from, append([]byte("re: "), frame...))
	})
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(r.patience)
	for {
		if err := r.a.Send("b", []byte("question")); err != nil {
			return err
		}
		select {
		case got := <-r.a.arrivals:
			if string(got.frame) != "re: question" {
				return fmt.Errorf("the answer is %q", got.frame)
			}
			return nil
		case <-again.C:
		case <-deadline:
			return errors.New("no answer of the handler has arrived")
		}
	}
}

func concurrentUse(r *rig) error {
	r.start(r.a, r.b, r.c)
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	for i := range 8 {
		wg.Go(func() {
			to := []string{"b", "c"}[i%2]
			for range 200 {
				if err := r.a.Send(to, pattern(i)); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	if err := r.within("Send from eight goroutines", func() error {
		wg.Wait()
		return first(failed)
	}); err != nil {
		return err
	}
	return errors.Join(r.exchange(r.a, r.b, "after all"), r.exchange(r.a, r.c, "after all"))
}
