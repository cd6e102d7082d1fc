package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// errKilled is what a killed process's attempts come to.
var errKilled = errors.New("killed")

// process stands for the process in which a replica runs. It lies between
// the replica and its clock, network and journal, and can be killed and paused
// at the worst moments: right after and right before a write.
type process struct {
	*replica
	cluster *cluster
	origin  time.Time // of its clock

	killed chan struct{} // closed when it is killed
	ended  chan struct{} // closed when nothing of it runs any more
	late   chan error    // gets what became of the write that a pause held up

	mu       sync.Mutex
	resumed  chan struct{} // closed when the pause ends; nil unless paused
	pausedAt time.Duration // what the clock shows meanwhile
}

func newProcess(c *cluster) *process {
	return &process{
		cluster: c, origin: time.Now(),
		killed: make(chan struct{}), ended: make(chan struct{}), late: make(chan error, 1),
	}
}

func (p *process) alive() bool {
	select {
	case <-p.killed:
		return false
	default:
		return true
	}
}

// printf prints while the process is alive.
func (p *process) printf(format string, args ...any) {
	if p.alive() {
		p.cluster.printf(format, args...)
	}
}

// now is the clock. It stands still in a pause, so that whoever looks then
// finds the lease still running, and jumps at its end.
func (p *process) now() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil && !p.cluster.stopped() {
		return p.pausedAt
	}
	return time.Since(p.origin)
}

// pause stops the process as a suspended machine would.
func (p *process) pause() {
	now := p.now()
	p.mu.Lock()
	p.resumed, p.pausedAt = make(chan struct{}), now
	p.mu.Unlock()
	p.cluster.isolate(p.id) // no frame comes in or goes out
}

// resume ends a pause.
func (p *process) resume() {
	p.cluster.heal()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.resumed)
	p.resumed = nil
}

// awake waits for the end of a pause.
func (p *process) awake() {
	p.mu.Lock()
	resumed := p.resumed
	p.mu.Unlock()
	if resumed == nil {
		return
	}
	select {
	case <-resumed:
	case <-p.cluster.stopping: // the story is broken off
	}
}

// processJournal is the shared journal as a process reaches it.
type processJournal struct {
	scheduler.Journal
	process *process
}

// Append implements scheduler.Journal.
func (j processJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	p := j.process
	if !p.alive() {
		return errKilled
	}
	switch p.cluster.due() {
	case killAfterWrite:
		if err := j.Journal.Append(ctx, token, records); err != nil {
			return err
		}
		p.printf("--- %s is killed: its last write is durable, and the answer is lost", p.id)
		close(p.killed)
		p.cluster.struck <- reign{p, token}
		return errKilled
	case pauseBeforeWrite:
		p.printf("--- %s is paused, just before a write", p.id)
		p.pause()
		p.cluster.struck <- reign{p, token}
		p.awake()
		// A write that is on its way does not hear that its context has ended.
		err := j.Journal.Append(context.WithoutCancel(ctx), token, records)
		p.late <- err
		return err
	default:
		return j.Journal.Append(ctx, token, records)
	}
}

// processTransport is the network as a process reaches it.
type processTransport struct {
	raft.Transport
	process *process
}

// Send implements raft.Transport. A killed process sends nothing any more, not
// even a last word to its successor.
func (t processTransport) Send(to string, frame []byte) error {
	if !t.process.alive() {
		return errKilled
	}
	return t.Transport.Send(to, frame)
}

// Serve implements raft.Transport. A node whose transport fails ends at once,
// without a hand-over, as it does when its process is killed.
func (t processTransport) Serve(ctx context.Context, handler func(from string, frame []byte)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- t.Transport.Serve(ctx, handler) }()
	select {
	case err := <-served:
		return err
	case <-t.process.killed:
		stop()
		return errors.Join(errKilled, <-served)
	}
}
