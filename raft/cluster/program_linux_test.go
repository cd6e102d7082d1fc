package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/testcert"
)

// journal is the file to which all processes print. Each line is appended in one
// step, so that they stand in the order in which they were printed.
type journal struct{ *os.File }

func newJournal(t *testing.T) journal {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(t.TempDir(), "journal"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	return journal{file}
}

// reigns returns what was printed so far.
func (j journal) reigns(t *testing.T) []reign {
	t.Helper()
	text, err := os.ReadFile(j.Name())
	require.NoError(t, err)
	var reigns []reign
	for line := range strings.Lines(string(text)) {
		var r reign
		_, err := fmt.Sscanf(line, "%s leads with token %d\n", &r.id, &r.token)
		require.NoError(t, err, "line %q", line)
		reigns = append(reigns, r)
	}
	return reigns
}

// above waits for a line with a greater token.
func (j journal) above(t *testing.T, token uint64) reign {
	t.Helper()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		for _, r := range j.reigns(t) {
			if r.token > token {
				return r
			}
		}
		require.NoError(t, t.Context().Err())
	}
}

// buildProgram compiles the program that the README shows, for the addresses on
// this machine that it returns, and a folder below that in which it is started.
func buildProgram(t *testing.T) (binary string, at map[string]string) {
	t.Helper()
	source, err := filepath.Abs("testdata/leader/main.go")
	require.NoError(t, err)
	text, err := os.ReadFile(source)
	require.NoError(t, err)
	at = freeAddresses(t, []string{"a", "b", "c"})
	here := strings.NewReplacer("10.0.0.1:7000", at["a"], "10.0.0.2:7000", at["b"], "10.0.0.3:7000", at["c"],
		"/var/lib/orders", "state", "100 * time.Millisecond", "5 * time.Millisecond").Replace(string(text))
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(changed, []byte(here), 0o600))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replaced, 0o600))
	binary = filepath.Join(dir, "leader")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, "./testdata/leader").CombinedOutput()
	require.NoError(t, err, string(out))
	return binary, at
}

// listening waits until a process takes connections: then it also takes signals.
func listening(t *testing.T, address string) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			require.NoError(t, conn.Close())
			return
		}
		require.NoError(t, ctx.Err(), "a process has ended, or never listens: %v", err)
	}
}

// The program of the README in three processes: whoever leads is killed, told to
// end, or paused, and another leads with a greater token. A process that was paused
// finds that it does not lead any more before it does anything else, but for what it
// was about to do.
func TestProgram(t *testing.T) {
	binary, at := buildProgram(t)
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	folders, processes := make(map[string]string), make(map[string]*exec.Cmd)
	printed := newJournal(t)
	start := func(id string) {
		process := exec.Command(binary, id) //nolint:noctx // Each is ended below.
		process.Dir, process.Stdout, process.Stderr = folders[id], printed.File, os.Stderr
		require.NoError(t, process.Start())
		processes[id] = process
	}
	t.Cleanup(func() {
		for _, process := range processes {
			_ = process.Process.Kill() // It has ended, unless the test has failed.
			_ = process.Wait()
		}
	})
	for _, id := range []string{"a", "b", "c"} {
		folders[id] = t.TempDir()
		require.NoError(t, ca.WriteFiles(folders[id], 1, id))
		start(id)
	}

	last := printed.above(t, 0)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSTOP} {
		process := processes[last.id]
		require.NoError(t, process.Process.Signal(signal))
		next := printed.above(t, last.token)
		if signal == syscall.SIGSTOP {
			require.NoError(t, process.Process.Signal(syscall.SIGCONT))
		} else {
			err := process.Wait()
			require.Equal(t, signal == syscall.SIGTERM, err == nil, "%v", err)
			start(last.id)
		}
		last = next
	}
	for id, process := range processes {
		listening(t, at[id])
		require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	}
	for _, process := range processes {
		require.NoError(t, process.Wait())
	}
	requireOneAtATime(t, printed.reigns(t))
}

// requireOneAtATime checks what the processes have printed: a token is of one of
// them, and after a line of a later token comes at most one of an earlier.
func requireOneAtATime(t *testing.T, reigns []reign) {
	t.Helper()
	leaders, late := make(map[uint64]string), make(map[uint64]int)
	latest := uint64(0)
	for _, r := range reigns {
		if leaders[r.token] == "" {
			leaders[r.token] = r.id
		}
		require.Equal(t, leaders[r.token], r.id, "two lead with token %d", r.token)
		latest = max(latest, r.token)
		if r.token < latest {
			late[r.token]++
		}
	}
	for token, n := range late {
		require.LessOrEqual(t, n, 1, "late lines with token %d", token)
	}
}
