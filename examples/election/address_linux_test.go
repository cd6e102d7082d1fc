package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeAddresses returns addresses that nobody listens on, nor will while a
// member is down: on hosts of their own within 127.0.0.0/8, where the kernel
// hands out no port to others.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}

// dataDir returns a directory in memory, where there is such a thing. On a slow
// disk a member gives up its lead, or ends, and rightly so; that is not what
// these tests are about.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "constellation-election-") //nolint:usetesting // t.TempDir is on the disk.
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
