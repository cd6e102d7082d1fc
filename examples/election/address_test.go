package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeAddresses returns addresses that nobody listens on.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}
