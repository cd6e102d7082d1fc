// Package httptransport is a transport that goes through the HTTP servers and
// clients that a service already has. A [Transport] is an [http.Handler] to
// mount in the service's own server, behind its own TLS and middleware, and
// the client side that posts to the peers. It speaks whatever the two sides
// speak: HTTP/1.1 or HTTP/2, with or without TLS.
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
// (403). The proof comes first: whoever has none gets the same answer to every
// request, so it learns neither the cluster nor the member. A frame that is
// too long (413) or broken (400) ends the request and, over HTTP/1.1, the
// connection. Before and after Serve the answer is 503.
//
// # Who is who
//
// [Config.Authenticate] says who has sent a request; the name must be the one
// that the request claims. [Certificate] is the one for mutual TLS; a service
// with tokens or a mesh writes its own. The server's identity is the business
// of [Config.Client]: its TLS configuration must verify the peers' servers. A
// TLS handshake that fails, over a wrong or expired certificate for instance,
// ends in the host's server and is counted there, if at all.
//
// # Limits
//
//   - For each peer at most 64 frames wait, each for at most a second.
//   - A request that has no answer within 2 s is given up. After a failure the
//     next one waits, with exponential backoff between 50 ms and 1 s and
//     jitter; a request from the peer itself hurries one attempt.
//   - A body has at most 256 KiB, or one frame if that is longer, and must
//     arrive within 5 s.
//   - Of one peer at most two requests are answered at once.
//   - The limits on connections and headers are those of the host's server:
//     set at least ReadHeaderTimeout and IdleTimeout.
//
// # Concurrency
//
// All methods of [Transport] may be called from any goroutine. Frames of one
// request are handled in order, those of different requests concurrently, on
// the goroutines of the host's server. Serve returns when no handler runs any
// more. A request that waits for its body then is answered 503 and belongs to
// the host's server. One mutex guards the transport; neither a handler nor
// anything that may block runs while it is held.
//
// # What it does not do
//
// It starts no server and resends nothing. Frames of a request that failed may
// have arrived all the same.
package httptransport
