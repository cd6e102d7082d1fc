package sqljournal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Config says which journal of a database to open.
type Config struct {
	// Dialect of the database. Required.
	Dialect Dialect
	// Name of the journal, of which a database can have many. The zero value is a
	// name too.
	Name string
	// PollMin and PollMax bound how long Follow waits before it asks for more: twice
	// as long after each time that there was nothing, and PollMin again once there
	// was. Zero is 10 ms and 500 ms.
	PollMin, PollMax time.Duration
	// Volatile accepts a database that may lose what it has acknowledged when its
	// machine stops, for tests. See UnsafeError.
	Volatile bool
	// Logger is told, at Warn, that what a snapshot has replaced could not be deleted:
	// the next one tries again, and until then the table grows. Nil: nothing is logged.
	Logger *slog.Logger
}

// validate returns all mistakes.
func (c Config) validate() error {
	errs := []error{c.Dialect.validate(), validateName(c.Name)}
	for name, d := range map[string]time.Duration{"pollMin": c.PollMin, "pollMax": c.PollMax} {
		if d < 0 {
			errs = append(errs, &placement.InvalidError{Field: name, Value: d.String(), Reason: "negative"})
		}
	}
	return errors.Join(errs...)
}

const maxName = 256

func validateName(name string) error {
	if len(name) > maxName || strings.ContainsRune(name, 0) || strings.ToValidUTF8(name, "") != name {
		return &placement.InvalidError{Field: "name", Value: fmt.Sprintf("%.300q", name), Reason: "must be UTF-8 without zeros of at most 256 bytes"}
	}
	return nil
}

// Journal keeps the records of a scheduler in a SQL database. It is safe for
// concurrent use, and several hosts may have it open.
type Journal struct {
	database
	cfg Config
}

// Open returns the journal of that name, and makes the tables if the database lacks
// them. It asks for no lock and deposes nobody. A database that does not keep what
// it acknowledges is refused with an UnsafeError. The caller closes db, after the
// last scheduler.
func Open(ctx context.Context, db *sql.DB, cfg Config) (*Journal, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.PollMin = cmp.Or(cfg.PollMin, 10*time.Millisecond)
	cfg.PollMax = max(cmp.Or(cfg.PollMax, 500*time.Millisecond), cfg.PollMin)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := database{db, cfg.Dialect}
	if err := d.prepare(ctx, cfg.Volatile); err != nil {
		return nil, err
	}
	return &Journal{d, cfg}, nil
}

// prepare looks at the settings and makes the tables.
func (d database) prepare(ctx context.Context, volatile bool) error {
	if !volatile {
		if err := d.checkSettings(ctx); err != nil {
			return err
		}
	}
	present := func() (bool, error) {
		var tables int
		err := d.queryRow(ctx, d.db, d.dialect.present(), nil, &tables)
		return tables == 3, err
	}
	there, err := present()
	if err != nil || there {
		return err
	}
	// Of hosts that make them at once PostgreSQL lets all but one fail.
	for statement := range strings.SplitSeq(d.dialect.Schema(), ";") {
		if _, err = d.db.ExecContext(ctx, statement); err != nil {
			break
		}
	}
	if err != nil {
		for range 50 {
			if there, lookErr := present(); there || lookErr != nil {
				return lookErr
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return err
}

// checkSettings looks for settings under which an acknowledged append can be lost.
func (d database) checkSettings(ctx context.Context) error {
	if d.dialect == PostgreSQL {
		var commit, sync string
		err := d.queryRow(ctx, d.db, `SELECT current_setting('synchronous_commit'), current_setting('fsync')`, nil, &commit, &sync)
		switch {
		case err != nil:
			return err
		case commit == "off":
			return &UnsafeError{"synchronous_commit", commit}
		case sync == "off":
			return &UnsafeError{"fsync", sync}
		}
		return nil
	}
	var (
		mode          string
		level, millis int
	)
	for pragma, into := range map[string]any{"journal_mode": &mode, "synchronous": &level, "busy_timeout": &millis} {
		if err := d.queryRow(ctx, d.db, "PRAGMA "+pragma, nil, into); err != nil {
			return err
		}
	}
	switch {
	case !strings.EqualFold(mode, "wal"):
		return &UnsafeError{"journal_mode", mode}
	case level < 2:
		return &UnsafeError{"synchronous", strconv.Itoa(level)}
	case millis == 0:
		return &UnsafeError{"busy_timeout", "0"}
	}
	return nil
}

// UnsafeError says that a database is set so that it loses what it has acknowledged
// when its machine stops, or that its users get in each other's way.
type UnsafeError struct {
	// Setting of the server, or the pragma of SQLite, and its Value.
	Setting, Value string
}

// Error returns "sqljournal: SETTING is VALUE", and what it should be.
func (e *UnsafeError) Error() string {
	want := map[string]string{
		"synchronous_commit": "on, remote_apply, remote_write or local", "fsync": "on",
		"journal_mode": "wal", "synchronous": "FULL or EXTRA", "busy_timeout": "some seconds",
	}
	return fmt.Sprintf("sqljournal: %s is %s, and should be %s", e.Setting, e.Value, want[e.Setting])
}

// digits writes a token so that the greater one is greater as text: the integers
// of SQL have a sign.
func digits(token uint64) string { return fmt.Sprintf("%020d", token) }

// Acquire implements scheduler.Journal: one statement.
func (j *Journal) Acquire(ctx context.Context, token uint64) error {
	if token == 0 {
		return j.fenced(ctx, token)
	}
	n, err := j.exec(ctx, `INSERT INTO constellation_tokens AS t (journal, token) VALUES ($1, $2)
		ON CONFLICT (journal) DO UPDATE SET token = excluded.token WHERE t.token < excluded.token`, j.cfg.Name, digits(token))
	if err != nil {
		return fmt.Errorf("sqljournal: acquire: %w", err)
	}
	if n == 0 {
		return j.fenced(ctx, token)
	}
	return nil
}

// fenced refuses a token with the highest.
func (j *Journal) fenced(ctx context.Context, token uint64) error {
	highest, err := j.highest(ctx)
	if err != nil {
		return err
	}
	return &scheduler.FencedError{Token: token, Highest: highest}
}

func (j *Journal) highest(ctx context.Context) (uint64, error) {
	var found string
	err := j.queryRow(ctx, j.db, `SELECT token FROM constellation_tokens WHERE journal = $1`, []any{j.cfg.Name}, &found)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("sqljournal: read the token: %w", err)
	}
	highest, err := strconv.ParseUint(strings.TrimSpace(found), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("sqljournal: the token in the table: %w", err)
	}
	return highest, nil
}
