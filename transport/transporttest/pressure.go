package transporttest

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// stuck serves b with a handler that does not return until release is called,
// and counts the frames that it has been given.
func (r *rig) stuck() (given *atomic.Int64, release func()) {
	given = &atomic.Int64{}
	gate := make(chan struct{})
	r.serve(r.b, func(from string, frame []byte) {
		given.Add(1)
		<-gate
		r.b.note(from, frame)
	})
	return given, func() { close(gate) }
}

// volume is how many of the longest frames overflow any buffer on the way
// that is not the transport's own, such as a socket's.
func (r *rig) volume() int { return max(1000, 64<<20/r.maxFrame) }

func (r *rig) flood() error {
	frame := pattern(r.maxFrame)
	for range r.volume() {
		if err := r.a.Send("b", frame); err != nil {
			return err
		}
	}
	return nil
}

func sendNeverBlocks(r *rig) error {
	r.start(r.a)
	_, release := r.stuck()
	defer release()
	return r.within("Send to a peer whose handler does not return", r.flood)
}

func slowPeerDelaysNobody(r *rig) error {
	r.start(r.a, r.c)
	_, release := r.stuck()
	defer release()
	if err := r.within("Send to a peer whose handler does not return", r.flood); err != nil {
		return err
	}
	return r.exchange(r.a, r.c, "while b is stuck")
}

func bounded(r *rig) error {
	r.start(r.a)
	given, release := r.stuck()
	err := r.within("Send to a peer whose handler does not return", r.flood)
	release()
	if err != nil {
		return err
	}
	if err := r.deliver(r.a, r.b, []byte("news")); err != nil {
		return errors.Join(errors.New("the peer goes on but gets no news"), err)
	}
	if n := given.Load(); n > int64(r.volume()/2) {
		return fmt.Errorf("of %d frames sent while the peer was stuck, %d arrived later", r.volume(), n)
	}
	return nil
}
