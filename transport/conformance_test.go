package transport_test

import (
	"testing"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/transporttest"
	"github.com/stretchr/testify/require"
)

func TestMemoryConforms(t *testing.T) {
	tests := []struct {
		name   string
		faults transport.Faults
	}{
		{"perfect network", transport.Faults{}},
		{"bad network", transport.Faults{LatencyMax: 2 * ms, Loss: 200, Duplication: 100, Reordering: 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Config{
				Network: func(tb testing.TB, _ []string) func(string) transport.Transport {
					tb.Helper()
					m, err := transport.NewMemory(transport.MemoryConfig{Seed: 1, Faults: tt.faults})
					require.NoError(tb, err)
					return func(name string) transport.Transport {
						e, err := m.Join(name)
						require.NoError(tb, err)
						return e
					}
				},
			})
		})
	}
}
