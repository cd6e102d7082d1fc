package prommetrics_test

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/metrics"
	"github.com/rads-project/constellation/scheduler/prommetrics"
)

func Example() {
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := metrics.New(metrics.Config{State: func() metrics.Source { return s }})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry() // that of the host
	registry.MustRegister(prommetrics.New(set))
	gathered, err := registry.Gather()
	fmt.Println(gathered[len(gathered)-1].GetName(), err)
	// Output: constellation_scheduler_up <nil>
}
