package scheduler

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func gpuNode(id string, count int) placement.Node {
	n := testNode(id, 16)
	n.Devices.Count = count
	return n
}

func gpuRequest(id string, gpu int64) placement.Request {
	req := testRequest(id, 0)
	req.Resources = placement.Resources{GPU: gpu}
	return req
}

// TestMoreOfOneGPUThanThereIs adopts what shares a GPU beyond what it has,
// while the other GPU is untouched.
func TestMoreOfOneGPUThanThereIs(t *testing.T) {
	tests := []struct {
		name    string
		running int
	}{
		{"less than the node has in sum", 2},
		{"more than the node has in sum", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			var running []Report
			for i := range tt.running {
				running = append(running, Report{Request: gpuRequest(fmt.Sprint("r", i), 700), Devices: []int{0}})
			}
			adoption, err := s.AdoptNode(t.Context(), gpuNode("n1", 2), running)
			require.NoError(t, err)
			require.Equal(t, []placement.ResourceName{placement.NameGPU}, adoption.Over)

			lacksGPU := []ReasonCount{{placement.Reason{Kind: placement.ReasonResource, Name: placement.NameGPU}, 1}}
			for _, gpu := range []int64{0, 300, placement.Device} {
				req := gpuRequest("new", gpu)
				_, err := s.Place(t.Context(), req)
				require.Equal(t, lacksGPU, refusedFor(t, err), "gpu %d", gpu)
				_, err = s.Allocate(t.Context(), "n1", req)
				require.Equal(t, lacksGPU, refusedFor(t, err), "gpu %d", gpu)
				e, err := s.Explain(t.Context(), req)
				require.NoError(t, err)
				require.Zero(t, e.Fit)
				require.Equal(t, lacksGPU, e.First)
			}
			for i := range tt.running - 1 {
				require.NoError(t, s.Release(t.Context(), fmt.Sprint("r", i)))
			}
			require.Equal(t, []int{1}, place(t, s, gpuRequest("new", placement.Device)).Devices)
		})
	}
}
