package sqljournal

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

// What a snapshot has replaced is nobody's to hear of but the log's, if it cannot be
// deleted.
func TestWhatCannotBeDeletedIsLogged(t *testing.T) {
	var log bytes.Buffer
	db := openDB(t, "sqlite", sqliteDSN(filepath.Join(t.TempDir(), "db")))
	j, err := Open(t.Context(), db, Config{Dialect: SQLite, Name: "jobs", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.NoError(t, j.Acquire(t.Context(), 1))
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER keeps BEFORE DELETE ON constellation_records BEGIN SELECT RAISE(FAIL, 'disk full'); END`)
	require.NoError(t, err)
	require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{{Seq: 1, Kind: scheduler.RecordEntry, Data: []byte("x")}}))
	require.Empty(t, log.String())
	require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{{Seq: 1, Kind: scheduler.RecordSnapshot, Data: []byte("all")}}))
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), `level=WARN msg="sqljournal: what a snapshot has replaced could not be deleted" journal=jobs error="constraint failed: disk full`)
}
