// Package prommetrics hands the metrics of a scheduler, its journal and its election to a
// registry of Prometheus. All of it is [New], which makes a collector of a [metrics.Set].
//
//	set, err := metrics.New(metrics.Config{State: …, Election: node.Status})
//	err = registry.Register(prommetrics.New(set))
//
// The families are those of package metrics, whose README.md lists them. A host without
// client_golang serves the set itself, which is an http.Handler.
//
// # Concurrency
//
// A collector is safe for concurrent use. Each scrape costs what [metrics.Set.Read] does.
//
// # What it does not do
//
// It measures nothing of its own, and does not serve what it hands over.
package prommetrics
