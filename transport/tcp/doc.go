// Package tcp is a transport that keeps one authenticated TCP connection to
// each peer and accepts one from each.
//
// A member sends over the connections that it makes and receives over those
// that it accepts. A connection begins with mutual TLS, where configured, and
// an introduction: protocol version, cluster, and the names of both sides,
// once. Then come frames, each with its length and checksum. A connection of
// another cluster, for another receiver, from an unknown sender, from one
// that its certificate does not name, or of an unknown version is refused and
// counted; a frame that is too long or broken closes the connection.
//
// The transport connects as soon as it serves and again after every failure,
// with exponential backoff between 50 ms and 1 s and jitter; a connection from
// the peer itself hurries one attempt, and a new address begins one at once. It
// pings each peer twice a second, which gives the round-trip estimate and finds
// peers that are gone without a word.
//
// # Limits
//
//   - For each peer at most 64 frames wait, each for at most a second.
//   - A peer that does not take a write within a second is disconnected.
//   - A connection that has not introduced itself within 2 s is closed.
//   - If more than [Config.MaxPending] connections are introducing themselves,
//     the address with the most of them loses its oldest one. An address that
//     has no more than its equal share loses none, so a flood of silent
//     connections from one address closes no connection of a member at another.
//     All IPv6 addresses with the same first 64 bits count as one, because a
//     single host usually has that many to choose from; so do all connections
//     through one proxy or one translated address.
//   - A member has one accepted connection; a newer one replaces it. An idle
//     one, or one that takes longer than 2 s for a frame, is closed.
//   - Memory per peer: the queue, and one frame and a few KiB of buffers in
//     each direction.
//
// # Certificates
//
// [Config.TLS] holds the member's certificate and the authorities that sign
// those of members. A member's name must be one of the DNS names in its
// certificate, letter for letter; wildcards do not count. Certificates are
// checked when a connection is made. They rotate without a restart through
// GetCertificate, which each new handshake asks; SetPeer and RemovePeer end
// connections made with an old one. The authorities are those given to New, so
// a new one is added, by a restart of each member in turn, before the first
// certificate that it signs.
//
// # Concurrency
//
// All methods of [Transport] may be called from any goroutine. Frames of
// different peers are handled concurrently, those of one peer in order. One
// mutex guards the peers and their addresses; neither a handler nor anything
// that may block runs while it is held. Serve owns all goroutines and leaves
// none behind.
//
// # What it does not do
//
// Without TLS ([Config.Insecure]) names are claims and traffic is readable:
// use that within one machine or a network that authenticates by itself. It
// does not listen by itself, look up members or resend frames.
package tcp
