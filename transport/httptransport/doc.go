// Package httptransport is a [transport.Transport] over the HTTP servers and
// clients that a service already has. It is for services that cannot open a port
// of their own, or that have a mesh or a proxy between them; otherwise use
// package tcp.
//
// Most users need [Config], [New] and the [Transport] that New returns. It is
// both an [http.Handler], to mount in the service's server behind its own TLS
// and middleware, and the client that posts to the peers. It works over HTTP/1.1
// and HTTP/2, with or without TLS.
//
//	t, err := httptransport.New(httptransport.Config{
//		Cluster:      "orders",
//		Name:         "node-1",
//		Peers:        map[string]string{"node-2": "https://node-2.example/internal/cluster"},
//		Client:       client, // verifies the peers' servers and shows node-1's certificate
//		Authenticate: httptransport.Certificate,
//	})
//	mux.Handle("/internal/cluster", t)
//	node, err := raft.New(raft.Config{Transport: t /* and so on */})
//	err = node.Run(ctx) // Serves t.
//
// # Who is who
//
// [Config.Authenticate] returns the name of the member that has sent a request.
// It must be the name that the request claims. Under mutual TLS use
// [Certificate]; a service with tokens or a mesh writes its own.
//
// [Config.Client] authenticates the servers: its TLS configuration must verify
// those of the peers. A TLS handshake that fails, for instance over an expired
// certificate, ends in the host's server and is not counted here.
//
// # On the wire
//
// A request is a POST to the peer's URL with the headers
// Constellation-Version, -Cluster, -From and -To (names are query-escaped)
// and a body of frames, each with its length and checksum: all that waited
// for the peer, up to 256 KiB. One request at a time is under way to a peer.
// The answer 204 means that the handler has been given the frames; any other
// means that some may have been lost, and says why in its body.
//
// A request is refused and counted, before its body is read, if its sender
// cannot prove its name (403), if its version is unknown (400), if it is of
// another cluster or for another receiver (421), or if its sender is no peer
// (403). The proof comes first: a sender that has none gets the same answer to
// every request, so it learns neither the cluster nor the member. (TLS itself shows
// the server's certificate to everybody.) A frame that is too long (413) or
// broken (400) ends the request and, over HTTP/1.1, the connection. Before and
// after Serve the answer to a peer is 503.
//
// # Limits
//
//   - For each peer and flow at most 64 frames wait, each for at most a second.
//   - A request that has no answer within 2 s is given up. After a failure the
//     next one waits, with exponential backoff between 50 ms and 1 s and
//     jitter. Once until the next success, a request from the peer itself
//     ends the wait.
//   - A body has at most 256 KiB, or one frame if that is longer, and must
//     arrive within 5 s.
//   - Of one peer at most two requests are answered at a time; further ones get
//     503.
//   - The limits on connections and headers are those of the host's server:
//     set at least ReadHeaderTimeout and IdleTimeout.
//
// # What it does not do
//
// It starts no server and resends nothing. Frames of a request that failed may
// have arrived all the same.
//
// # Concurrency
//
// All methods of [Transport] may be called from any goroutine. Frames of one
// request are handled in order, those of different requests concurrently, on
// the goroutines of the host's server. Serve returns when no handler runs any
// more. A request that waits for its body then is answered 503 and belongs to
// the host's server. One mutex guards the transport; neither a handler nor
// anything that may block runs while it is held.
package httptransport
