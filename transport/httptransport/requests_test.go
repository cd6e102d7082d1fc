package httptransport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Of one peer so many requests are answered at a time and no more, and nothing is
// kept of a peer without any.
func TestRequestsOfAPeerAreCounted(t *testing.T) {
	h, err := New(Config{Cluster: "test", Name: "a", Insecure: true})
	require.NoError(t, err)
	for range requestsPerPeer {
		require.True(t, h.enter("b"))
	}
	require.False(t, h.enter("b"))
	require.True(t, h.enter("c"))
	h.leave("c")
	h.leave("b")
	require.True(t, h.enter("b"))
	for range requestsPerPeer {
		h.leave("b")
	}
	require.Empty(t, h.requests)
}
