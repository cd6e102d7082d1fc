// Package prommetrics hands the metrics of a scheduler, its journal and its election to a
// registry of Prometheus. The families are those of package metrics, whose README.md lists
// them: one module serves all, so that a host compiles client_golang's adapter once.
//
//	set, err := metrics.New(metrics.Config{State: …, Election: node.Status})
//	err = registry.Register(prommetrics.New(set))
//
// A host without client_golang serves the set itself, which is an http.Handler.
//
// # Concurrency
//
// A collector is safe for concurrent use. Each scrape costs what [metrics.Set.Read] does.
package prommetrics
