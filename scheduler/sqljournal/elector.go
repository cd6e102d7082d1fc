package sqljournal

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler/lease"
)

// ElectorConfig says how to elect by a lease in a database.
type ElectorConfig struct {
	// Dialect of the database. Required.
	Dialect Dialect
	// Name of the lease, of which a database can have many. The zero value is a
	// name too.
	Name string
	// TTL is how long a lease lasts that is not renewed: so long nobody leads after
	// the leader has died. Zero is ten seconds.
	TTL time.Duration
	// Data that Leader returns while this replica leads, such as an address.
	Data []byte
	// Logger is told what fails and is tried again, as lease.Config says. Nil: nothing is
	// logged.
	Logger *slog.Logger
}

// The bounds of ElectorConfig.TTL.
const (
	minTTL = 100 * time.Millisecond
	maxTTL = 24 * time.Hour
)

// Elector elects by one row of a table, the lease, of which the database's clock
// says whether it runs. It is safe for concurrent use.
type Elector struct {
	*lease.Elector
	database
	cfg ElectorConfig

	mu   sync.Mutex
	seen int64 // the highest token that it knows of
}

// NewElector returns an Elector, and makes the tables if the database lacks them.
func NewElector(ctx context.Context, db *sql.DB, cfg ElectorConfig) (*Elector, error) {
	cfg.TTL = cmp.Or(cfg.TTL, 10*time.Second)
	errs := []error{cfg.Dialect.validate(), validateName(cfg.Name)}
	if cfg.TTL < minTTL || cfg.TTL > maxTTL {
		errs = append(errs, &placement.InvalidError{Field: "ttl", Value: cfg.TTL.String(), Reason: "must be from 100 ms to 24 h"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e := &Elector{database: database{db, cfg.Dialect}, cfg: cfg}
	if err := e.prepare(ctx, true); err != nil {
		return nil, err
	}
	elector, err := lease.New(lease.Config{Store: leaseStore{e}, Pause: cfg.TTL / 10, Logger: cfg.Logger})
	e.Elector = elector
	return e, err
}

// Leader is who holds the lease.
type Leader struct {
	// Token of its reign.
	Token uint64
	// Data of its ElectorConfig.
	Data []byte
}

// Leader returns who holds the lease by the database's clock, and false if nobody
// does.
func (e *Elector) Leader(ctx context.Context) (Leader, bool, error) {
	row, err := e.look(ctx)
	if err != nil || !row.found || row.left <= 0 {
		return Leader{}, false, err
	}
	return Leader{uint64(row.token), row.data}, true, nil
}

// leaseRow is the row of the lease at an instant.
type leaseRow struct {
	found  bool
	token  int64
	holder string
	data   []byte
	left   time.Duration // until it ends, by the database's clock
	now    int64         // by that clock, in microseconds
}

func (e *Elector) look(ctx context.Context) (leaseRow, error) {
	var (
		row            leaseRow
		token, expires sql.NullInt64
		holder         sql.NullString
	)
	err := e.queryRow(ctx, e.db, `SELECT c.now, l.token, l.holder, l.data, l.expires FROM (SELECT `+e.dialect.clock()+` AS now) c
		LEFT JOIN constellation_leases l ON l.name = $1`, []any{e.cfg.Name}, &row.now, &token, &holder, &row.data, &expires)
	if err != nil {
		return row, fmt.Errorf("sqljournal: read the lease: %w", err)
	}
	row.found, row.token, row.holder = token.Valid, token.Int64, holder.String
	row.left = time.Duration(expires.Int64-row.now) * time.Microsecond
	e.saw(row.token)
	return row, nil
}

// saw notes a token.
func (e *Elector) saw(token int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = max(e.seen, token)
}

// next returns a token that is greater than one and all that were seen.
func (e *Elector) next(token int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(token, e.seen) + 1
}

// leaseStore is the row as lease.Elector uses it. Each change is one statement.
type leaseStore struct{ e *Elector }

// Acquire implements lease.Store. It looks until nobody has the lease, and takes it
// if it still is as it was when it looked.
func (s leaseStore) Acquire(ctx context.Context) (lease.Grant, error) {
	holder, failures := rand.Text(), 0
	for {
		row, err := s.e.look(ctx)
		if err == nil && (row.left <= 0 || row.holder == holder) {
			var g lease.Grant
			if g, err = s.take(ctx, row, holder); err == nil && g.Token > 0 {
				return g, nil
			}
		}
		if err == nil {
			failures = 0
		} else if failures++; failures > 1 || ctx.Err() != nil {
			return lease.Grant{}, err
		}
		select {
		case <-ctx.Done():
			return lease.Grant{}, ctx.Err()
		case <-time.After(max(min(row.left, s.e.cfg.TTL/10), s.e.cfg.TTL/100)):
		}
	}
}

// take makes one attempt, and returns no token if somebody else was faster. It does
// not end with ctx, but in time: a lease that was given to somebody who has left
// would keep all others out.
func (s leaseStore) take(ctx context.Context, row leaseRow, holder string) (lease.Grant, error) {
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.e.cfg.TTL/2)
	defer cancel()
	g := lease.Grant{Token: uint64(row.token), Holder: holder, Begun: time.Now(), For: s.e.cfg.TTL}
	if row.holder == holder { // an attempt whose answer was lost
		return s.Renew(attempt, g)
	}
	// A row that was deleted must not let the tokens begin again.
	g.Token = uint64(max(s.e.next(row.token), row.now))
	set := []any{s.e.cfg.Name, int64(g.Token), holder, append([]byte{}, s.e.cfg.Data...), g.For.Microseconds()}
	statement := `INSERT INTO constellation_leases (name, token, holder, data, expires)
		VALUES ($1, $2, $3, $4, ` + s.e.dialect.clock() + ` + $5) ON CONFLICT (name) DO NOTHING`
	if row.found {
		statement = `UPDATE constellation_leases SET token = $2, holder = $3, data = $4, expires = ` + s.e.dialect.clock() + ` + $5
			WHERE name = $1 AND token = $6 AND expires <= ` + s.e.dialect.clock()
		set = append(set, row.token)
	}
	n, err := s.e.exec(attempt, statement, set...)
	if err != nil || n == 0 {
		return lease.Grant{}, err
	}
	if err := ctx.Err(); err != nil {
		return lease.Grant{}, errors.Join(err, s.Release(attempt, g))
	}
	return g, nil
}

// Renew implements lease.Store.
func (s leaseStore) Renew(ctx context.Context, g lease.Grant) (lease.Grant, error) {
	g.Begun = time.Now()
	n, err := s.e.exec(ctx, `UPDATE constellation_leases SET expires = `+s.e.dialect.clock()+` + $1
		WHERE name = $2 AND token = $3 AND holder = $4 AND expires > `+s.e.dialect.clock(),
		g.For.Microseconds(), s.e.cfg.Name, int64(g.Token), g.Holder)
	if err != nil {
		return g, fmt.Errorf("sqljournal: renew the lease: %w", err)
	}
	if n == 0 {
		return g, lease.ErrLost
	}
	return g, nil
}

// Release implements lease.Store. The row stays, and with it the token.
func (s leaseStore) Release(ctx context.Context, g lease.Grant) error {
	_, err := s.e.exec(ctx, `UPDATE constellation_leases SET expires = `+s.e.dialect.clock()+`
		WHERE name = $1 AND token = $2 AND holder = $3 AND expires > `+s.e.dialect.clock(), s.e.cfg.Name, int64(g.Token), g.Holder)
	if err != nil {
		return fmt.Errorf("sqljournal: release the lease: %w", err)
	}
	return nil
}
