// Package debugpage shows a running scheduler to whoever is on call: who leads, what
// is wrong now, why a request is not placed, nodes, capacity, quotas, reservations,
// members and the latest events. It is an http.Handler that a host mounts in its own
// server; it needs no build step and asks nobody else for anything.
//
//	page, err := debugpage.New(debugpage.Config{Replica: r, Election: node.Status})
//	mux.Handle(debugpage.DefaultPrefix, page)
//	server.RegisterOnShutdown(page.Close) // ends the streams
//
// Everything that it shows is JSON as well, below the same prefix: summary.json,
// nodes.json, quotas.json, reservations.json, events.json and election.json;
// explain.json answers a request that is posted. stream is a stream of server-sent
// events, one for each change of the state, at most two a second: its data is that of
// summary.json.
//
// # Without JavaScript
//
// The page is whole without a script. With one it follows the state.
//
// # Security
//
// The page changes nothing. Whoever may open it sees all that the scheduler knows:
// give Config.Authorize, or mount it where only operators come. What it shows is
// escaped, and its content security policy admits no script but its own file.
//
// # Cost
//
// Nobody who looks costs nothing. Lists are read at most twice a second, however many
// look, and only while one does: in time and memory proportional to the nodes, quotas
// and reservations, beside decisions that go on. A page has at most 500 rows of a
// list; a filter chooses which.
//
// # Concurrency
//
// A [Page] is safe for concurrent use. It starts no goroutine.
//
// # What it does not do
//
// It keeps no history: events are those in memory, from when somebody looked first,
// and requests that were refused are the host's to keep. It tries nothing on a copy of
// the state.
package debugpage
