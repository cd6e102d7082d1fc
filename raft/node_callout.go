package raft

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"
)

// stallTimeout is how long Run waits for what begins and ends it: Store.Open,
// Store.Close, and Transport.Serve once its ctx has ended. No reign depends on
// them, so that it is longer than any that works takes.
const stallTimeout = 10 * time.Second

// routine is a goroutine that Run has started. How it ends, Run's caller sees.
type routine struct {
	ended    chan struct{}
	err      error
	panicked *PanicError
	returned bool
}

func begin(f func() error) *routine {
	r := &routine{ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		defer func() {
			if value := recover(); value != nil {
				r.panicked = &PanicError{Value: value, Stack: debug.Stack()}
			}
		}()
		r.err = f()
		r.returned = true
	}()
	return r
}

// result returns what the ended routine has returned, or panics or ends the
// goroutine as it did.
func (r *routine) result() error {
	if r.panicked != nil {
		panic(r.panicked)
	}
	if !r.returned {
		runtime.Goexit()
	}
	return r.err
}

// within returns the result of the routine, or a StalledError if that does not
// end within stallTimeout. Then its goroutine is left behind.
func (r *routine) within(call string) error {
	timer := time.NewTimer(stallTimeout)
	defer timer.Stop()
	select {
	case <-r.ended:
		return r.result()
	case <-timer.C:
		return &StalledError{Call: call, Patience: stallTimeout}
	}
}

// callOut calls the application from the loop. If that takes longer than the
// maximal election timeout, Run gives up (rule 13).
func (l *loop) callOut(call string, f func()) {
	patience := l.node.cfg.ElectionTimeoutMax
	l.guard(&StalledError{Call: call, Patience: patience}, f, func() {})
}

// guard calls f. If that takes longer than the maximal election timeout, Run
// returns stalled, and when f comes back after all this goroutine only calls late
// and ends.
func (l *loop) guard(stalled error, f, late func()) {
	given := make(chan struct{})
	timer := time.AfterFunc(l.node.cfg.ElectionTimeoutMax, func() {
		l.stalled <- stalled
		close(given)
	})
	defer timer.Stop() // for a panic
	f()
	if !timer.Stop() {
		<-given
		late()
		runtime.Goexit()
	}
}

// await waits for the end of the loop, or until a call-out has stalled.
func (l *loop) await(work *routine) error {
	select {
	case <-work.ended:
	case err := <-l.stalled:
		return err
	}
	select {
	case err := <-l.stalled: // It was first.
		return err
	default:
		return work.result()
	}
}

func (l *loop) log(level slog.Level, message string, args ...any) {
	l.callOut("Logger", func() { l.node.logger.Log(l.background, level, message, args...) })
}

// StalledError says which of a node's call-outs has not returned in time. It
// unwraps to ErrStalled.
type StalledError struct {
	// Call names it: Healthy, Logger, Store.Open, Store.Close, Transport.Send, or
	// Transport.Serve when its ctx has ended; with a log, Log.Open, Log.Append,
	// Log.Close or, at the end, Machine.Apply.
	Call string
	// Patience is how long it was waited for.
	Patience time.Duration
}

// Error implements error.
func (e *StalledError) Error() string {
	return fmt.Sprintf("%v: %s has not returned for %v", ErrStalled, e.Call, e.Patience)
}

// Unwrap returns ErrStalled.
func (e *StalledError) Unwrap() error { return ErrStalled }

// PanicError is what Run panics with when a call-out has panicked: they run on
// goroutines of their own.
type PanicError struct {
	// Value is what the call-out has panicked with.
	Value any
	// Stack is the stack of its goroutine.
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("raft: %v\n\n%s", e.Value, e.Stack) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
