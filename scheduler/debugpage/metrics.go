package debugpage

import "github.com/rads-project/constellation/scheduler/metrics"

// routeMetrics serves the metrics of what the page shows.
func (p *Page) routeMetrics() error {
	set, err := metrics.New(metrics.Config{
		State: func() metrics.Source {
			if state := p.state(); state != nil {
				return state
			}
			return nil
		},
		Election: p.cfg.Election, Transport: p.cfg.Transport, Now: p.cfg.Now,
	})
	if err != nil {
		return err
	}
	p.mux.Handle("GET "+p.cfg.Prefix+"metrics", set)
	return nil
}
