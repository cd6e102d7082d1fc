package boltjournal

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

// limitFiles makes the kernel cut short every write past a length of a file,
// as a full disk does, until restore is called.
func limitFiles(t *testing.T, length uint64) (restore func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: length, Max: before.Max}))
	return func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	}
}

const limitedProcess = "BOLTJOURNAL_LIMITED"

// TestFullDiskAndShortWrites runs in a process of its own: the limit is for all
// that a process writes, the log of go test included.
func TestFullDiskAndShortWrites(t *testing.T) {
	if os.Getenv(limitedProcess) == "" {
		other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		other.Env = append(os.Environ(), limitedProcess+"=1")
		output, err := other.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return
	}
	// The first of these lengths cuts the meta page, the next ones pages in
	// the middle of a write, the last the growth of the file.
	for _, length := range []uint64{40, 4096 + 40, 3*4096 + 100, 20000, 32768, 50000, 70000} {
		t.Run(fmt.Sprint(length, " bytes"), func(t *testing.T) {
			dir := t.TempDir()
			j := openJournal(t, dir, Config{})
			require.NoError(t, j.Acquire(t.Context(), 1))
			var want []string
			restore := limitFiles(t, length)
			var err error
			for seq := uint64(1); err == nil && seq < 100; seq++ {
				data := strings.Repeat("d", 3000)
				if err = j.Append(t.Context(), 1, []scheduler.Record{entry(seq, data)}); err == nil {
					want = append(want, data)
				}
			}
			restore()
			require.Error(t, err)
			require.Error(t, j.Append(t.Context(), 1, nil), "nothing more until it is opened again")
			require.NoError(t, j.Close())

			j, err = Open(dir, Config{})
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
				require.Less(t, length, uint64(2*4096), "only a meta page that was cut is damage")
				return
			}
			got, err := contents(j)
			require.NoError(t, err)
			require.Contains(t, []int{len(want), len(want) + 1}, len(got))
			require.Equal(t, want, got[:len(want)])
			require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{entry(uint64(len(got))+1, "on")}))
			require.NoError(t, j.Close())
		})
	}
}
