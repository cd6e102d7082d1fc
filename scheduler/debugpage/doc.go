// Package debugpage shows a running scheduler to whoever is on call: who leads, what is
// wrong now, which requests are refused and why, what would help, nodes, capacity,
// quotas, reservations, members and the latest events. It is an http.Handler that a
// host mounts in its own server; it needs no build step and loads nothing from
// elsewhere.
//
// Most users need [Config], [New] and the [Page] that New returns.
//
//	page, err := debugpage.New(debugpage.Config{Replica: r, Election: node.Status})
//	mux.Handle(debugpage.DefaultPrefix, page)
//	server.RegisterOnShutdown(page.Close) // ends the streams
//
// Everything that it shows is JSON as well, below the same prefix: summary.json,
// refused.json, nodes.json, quotas.json, reservations.json, events.json and
// election.json; explain.json answers a request that is posted. stream is a stream of
// server-sent events, one for each change of the state, at most two a second: its data
// is that of summary.json. metrics is OpenMetrics text for a monitoring system, as
// package metrics describes.
//
// # Without JavaScript
//
// Without a script the page has everything except the map of the nodes. With its script
// it follows the state over one stream, which brings what has changed and resumes where
// it was cut.
//
// # What if
//
// The page shows what would become of a request, and of what runs, if nodes were added,
// cordoned or lost, or a quota were changed. It tries that on a fork, which costs what
// scheduler.Scheduler.Fork does. Only the scheduler that decides can do so, not a
// follower.
//
// # Security
//
// The page changes nothing, unless Config.Changes lets it cordon and uncordon nodes.
// Whoever may open it sees all that the scheduler knows: give Config.Authorize, or mount
// it where only operators come. What is posted from a page of another origin is refused.
// What the page shows is escaped, and its content security policy admits no script but
// its own file.
//
// # Cost
//
// The page costs nothing while nobody looks. Lists are read once for all viewers, at
// most twice a second. The longer a reading takes, the less often it happens: with the
// work for the streams it takes at most a twenty-fifth of the time of one processor, or
// more only where the lists would otherwise be older than five seconds. A reading takes
// time and memory in proportion to the nodes, quotas and reservations; decisions go on
// meanwhile. A viewer gets what has changed, at most 200 kB a second; several changes
// reach a slow reader as one. A page has at most 500 rows of a list, and its map at
// most 10,000 nodes. A filter chooses which rows, and looks at all of them. Explaining
// a request looks at every node one by one, for at most two seconds.
//
// # Concurrency
//
// A [Page] is safe for concurrent use. It starts no goroutine.
//
// # What it does not do
//
// It keeps no history except the capacity of the last hour, and that only for the times
// at which somebody looked. Events are those since somebody first looked that are still
// in memory. Refused requests are those that scheduler.Scheduler.Refused remembers.
package debugpage
