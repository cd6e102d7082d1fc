// Package metrics tells a monitoring system how a scheduler, its journal and its
// election fare: one table of metric families, read from Stats, Inventory and Status,
// and written as OpenMetrics text without any dependency. README.md has the table.
// Package prommetrics, a module of its own, hands the same families to a registry of
// client_golang, and package debugpage serves them beside its page.
//
// Most users need [Config], [New] and the [Set] that New returns.
//
//	set, err := metrics.New(metrics.Config{State: func() metrics.Source { return s }})
//	http.Handle("/metrics", set)
//
// There are at most 200 series with up to nine members, however many nodes, namespaces
// and dimensions there are. [Config] adds series for each of these on demand.
//
// # Concurrency
//
// A Set is safe for concurrent use. It holds no lock while it reads; each of several
// scrapes at one time costs as much as one alone.
//
// # What it does not do
//
// It keeps nothing: the monitoring system computes rates and means and keeps the
// history. The amounts of one scrape are of about one instant, as
// [scheduler.Scheduler.Inventory] says.
package metrics
