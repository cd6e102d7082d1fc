// Package debugpage shows a running scheduler to whoever is on call: who leads, what
// is wrong now, which requests are refused and why, what would help, nodes, capacity,
// quotas, reservations, members and the latest events. It is an http.Handler that a host
// mounts in its own server; it needs no build step and asks nobody else for anything.
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
// The page is whole without a script, but for the map of the nodes. With one it follows
// the state over one stream, which brings what has changed and goes on where it was cut.
//
// # What if
//
// The page tries on a copy of the state what would become of a request, and of what
// runs, if nodes were added, cordoned or lost, or a quota were another. That copies the
// state: see scheduler.Scheduler.Fork. Only the scheduler that decides can do so, not a
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
// Nobody who looks costs nothing. Lists are read for all who look together, at most
// twice a second, and only while somebody does; with the work for the streams that takes
// a twenty-fifth of the time of one processor at most, since the page looks the less
// often the longer it takes; only where that would show what is older than five seconds
// it takes more. A look takes time and memory proportional to the nodes,
// quotas and reservations, beside decisions that go on. A viewer gets what has changed,
// at most 200 kB a second, and one that reads slowly gets several changes as one. A page
// has at most 500 rows of a list, and its map 10,000 nodes; a filter chooses which rows,
// and costs its viewer a look at all. To explain a request looks at every node one by
// one, for two seconds at most.
//
// # Concurrency
//
// A [Page] is safe for concurrent use. It starts no goroutine.
//
// # What it does not do
//
// It keeps no history but for an hour of capacity, as far as somebody has looked: events
// are those in memory, from when somebody looked first, and requests that were refused
// those that scheduler.Scheduler.Refused remembers.
package debugpage
