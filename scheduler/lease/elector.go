package lease

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Config says how to elect.
type Config struct {
	// Store that all replicas reach. Required.
	Store Store
	// Pause after the store could not be asked for the lease. Zero is one second.
	Pause time.Duration
	// Logger is told, at Warn, what nobody else is: that the store cannot be asked or the
	// lease not be renewed, once while that lasts, and what the work of a reign has
	// failed with that ended meanwhile. scheduler/LOGS.md lists the lines. Nil: nothing is
	// logged.
	Logger *slog.Logger
}

// Elector has this replica lead while it holds the lease. It is safe for
// concurrent use; each WhileLeader is a replica of its own.
type Elector struct{ cfg Config }

// New returns an Elector. It asks the store for nothing.
func New(cfg Config) (*Elector, error) {
	if cfg.Store == nil {
		return nil, &placement.InvalidError{Field: "store", Value: "nil", Reason: "an elector needs one"}
	}
	if cfg.Pause < 0 {
		return nil, &placement.InvalidError{Field: "pause", Value: cfg.Pause.String(), Reason: "negative"}
	}
	if cfg.Pause == 0 {
		cfg.Pause = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Elector{cfg}, nil
}

// WhileLeader runs fn in each reign of this replica: only while it holds the lease.
// The ctx of fn ends with the reign, for which context.Cause gives ErrLost or
// ErrExpired, and Leads looks at it before an effect; token is greater than that of
// all reigns before, of whatever replica.
//
// When the lease is lost, WhileLeader waits for fn to return and then for the next
// lease; what fn returns then is logged at most, because it is an echo of the end.
// If fn returns while the reign runs, WhileLeader releases the lease and returns
// what fn returned. If ctx ends, it returns its error once fn has returned: until
// then it renews the lease, so that nobody leads while the work is wound up. So it
// does when fn panics, and the panic goes on. A store that cannot be asked ends
// nothing but the lease.
func (e *Elector) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	for {
		g, err := e.acquire(ctx)
		if err != nil {
			return err
		}
		over, err := e.run(ctx, g, fn)
		if !over {
			return err
		}
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrLost) && !errors.Is(err, ErrExpired) {
			e.cfg.Logger.Warn("lease: work of a leader failed as its reign ended", "token", g.Token, "error", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// acquire waits for the lease, also where the store cannot be asked for a while.
func (e *Elector) acquire(ctx context.Context) (Grant, error) {
	for failing := false; ; failing = true {
		g, err := e.cfg.Store.Acquire(ctx)
		switch {
		case err == nil: // even if ctx has ended: the work sees that, and the lease is released
			return g, nil
		case ctx.Err() != nil:
			return g, errors.Join(err, ctx.Err())
		}
		if !failing {
			e.cfg.Logger.Warn("lease: the store cannot be asked", "error", err)
		}
		select {
		case <-ctx.Done():
			return Grant{}, ctx.Err()
		case <-time.After(e.cfg.Pause):
		}
	}
}
