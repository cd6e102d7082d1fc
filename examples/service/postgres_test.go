//go:build unix

package main

import (
	"database/sql"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startPostgres starts the server that Debian has installed, on a socket in a
// temporary folder, and returns its data source. Without a server it skips.
func startPostgres(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	if len(found) == 0 {
		t.Skip("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("/tmp", "service") //nolint:usetesting // A short name, for the socket.
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attributes := unprivileged(t, dir)
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.SysProcAttr, cmd.Dir = attributes, dir
		return cmd
	}
	bin, data := filepath.Dir(found[len(found)-1]), filepath.Join(dir, "data")
	out, err := run(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8").CombinedOutput()
	require.NoError(t, err, "%s", out)
	// The server ends with the test, in whatever way that ends.
	server := run("/bin/sh", "-c", `"$0" "$@" & cat; kill -QUIT $!; wait`, filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=")
	alive, err := server.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = alive.Close()
		_ = server.Wait()
	})
	source := "host=" + dir + " port=5432 user=postgres dbname=postgres"
	db, err := sql.Open("pgx", source)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for db.PingContext(t.Context()) != nil {
		time.Sleep(20 * time.Millisecond)
	}
	return source
}

// unprivileged returns the attributes of a process that is not root's, which the
// server refuses to be, and gives it a folder.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
