// Package tcp is a [transport.Transport] over TCP, for production. It keeps one
// connection to each peer and accepts one from each, with mutual TLS.
//
// Most users need [Config], [New] and the [Transport] that New returns.
//
//	listener, err := net.Listen("tcp", ":7000")
//	t, err := tcp.New(tcp.Config{
//		Cluster:  "orders",
//		Name:     "node-1",
//		Listener: listener,
//		Peers:    map[string]string{"node-2": "10.0.0.2:7000", "node-3": "10.0.0.3:7000"},
//		TLS:      security, // for instance of TLSFiles{…}.Config("node-1")
//	})
//	node, err := raft.New(raft.Config{Transport: t /* and so on */})
//	err = node.Run(ctx) // Serves t.
//
// # Connections
//
// A member sends over the connections that it makes and receives over those
// that it accepts. A connection begins with a TLS handshake, where TLS is
// configured, and an introduction: protocol version, cluster, and the names of
// both sides. Frames follow, each with its length and checksum.
//
// A connection is refused, and counted in [transport.Refused], if its
// certificate does not name the sender, if its version is unknown, if it is of
// another cluster or for another receiver, or if its sender is no peer. The
// certificate comes first: a sender that cannot prove its name does not
// learn whether the cluster and the receiver are right. A frame that is too long or broken
// closes the connection.
//
// The transport connects as soon as it serves, and again after every failure,
// with exponential backoff between 50 ms and 1 s and jitter. A new address
// is tried at once. So is the old one, once until the next success, when the
// peer itself connects. A ping twice a second measures the round trip and finds
// peers that are gone without a word.
//
// # Limits
//
//   - For each peer and flow at most 64 frames wait, each for at most a second.
//   - A peer that does not take a write within a second is disconnected.
//   - A connection that has not introduced itself within 2 s is closed.
//   - If more than [Config.MaxPending] connections are introducing themselves,
//     the address with the most of them loses its oldest one. An address that
//     has no more than its equal share loses none, so a flood of silent
//     connections from one address closes no connection of a member at another.
//     All IPv6 addresses with the same first 64 bits count as one, because a
//     single host usually has that many to choose from. All connections through
//     one proxy or one translated address count as one address too.
//   - A member has one accepted connection; a newer one replaces it. An idle
//     one, or one that takes longer than 2 s for a frame, is closed.
//   - Memory for each peer: buffers for as many frames as ever waited for it at
//     once, and one frame and a few KiB in each direction.
//
// # Certificates
//
// [Config.TLS] holds the member's certificate and the authorities that sign
// those of members. A member's name must be one of the DNS names in its
// certificate, letter for letter; wildcards do not count. Certificates are
// checked when a connection is made. They rotate without a restart through
// GetCertificate, which each new handshake asks; SetPeer and RemovePeer end
// connections made with an old one. [TLSFiles] makes such a configuration from PEM
// files that it reads again when they change.
//
// The authorities are those given to New. To add one, restart each member in
// turn with both, before the new one signs its first certificate.
//
// # What it does not do
//
// Without TLS ([Config.Insecure]) names are claims and traffic is readable:
// use that within one machine or a network that authenticates by itself. It
// does not listen by itself, look up members or resend frames.
//
// # Concurrency
//
// All methods of [Transport] may be called from any goroutine. Frames of
// different peers are handled concurrently, those of one peer and flow in
// order. One mutex guards the peers and their addresses, another the accepted
// connections; neither a handler nor anything that may block runs while one is
// held. Serve owns all goroutines, a few for each peer, and leaves none behind.
package tcp
