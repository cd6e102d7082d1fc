package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func TestTypicalMixCoversMostTasks(t *testing.T) {
	var tasks []placement.Request
	add := func(n int, req placement.Request) {
		for range n {
			tasks = append(tasks, req)
		}
	}
	gpu := placement.Request{Resources: placement.Resources{CPU: 2000, GPU: 500}}
	only := gpu
	only.Preferences = only.Preferences.Require(placement.In(placement.LabelGPUModel, "T4", "A10"))
	add(10, only)
	add(60, gpu)
	add(25, placement.Request{Resources: placement.Resources{CPU: 1000, Memory: 1}})
	add(5, placement.Request{Resources: placement.Resources{CPU: 1}})
	want := []scheduler.WorkloadClass{
		{Resources: placement.Resources{CPU: 2000, GPU: 500}, Count: 60},
		{Resources: placement.Resources{CPU: 1000}, Count: 25},
		{Resources: placement.Resources{CPU: 2000, GPU: 500}, Models: []string{"A10", "T4"}, Count: 10},
	}
	require.Equal(t, want, typicalMix(tasks))
}
