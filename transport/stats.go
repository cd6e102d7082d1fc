package transport

import "time"

// Stats is one consistent snapshot of a transport's counters. They count from
// the making of the transport and never decrease.
type Stats struct {
	// Peers has one entry for each known peer, by name.
	Peers []PeerStats `json:"peers,omitempty"`
	// Refused counts connections or requests that this member refused.
	Refused Refused `json:"refused"`
}

// PeerStats counts the traffic with one peer.
type PeerStats struct {
	// Peer is its name.
	Peer string `json:"peer"`
	// Sent counts frames handed to the network, Received frames handed to the
	// handler.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// Dropped counts frames that were queued for the peer and then dropped.
	Dropped Dropped `json:"dropped"`
	// Reconnects counts connections made to the peer after the first one.
	Reconnects uint64 `json:"reconnects"`
	// Failures counts the attempts to reach the peer that failed. LastError is
	// the error of the latest one, and nil once the peer is reached again.
	Failures  uint64 `json:"failures"`
	LastError error  `json:"-"` // see MarshalJSON
	// Queued is the number of frames that wait for the peer.
	Queued int `json:"queued"`
	// RoundTrip estimates the time to the peer and back. Zero means unknown.
	RoundTrip time.Duration `json:"roundTrip,omitempty"`
}

// Dropped counts frames by the reason for which they were dropped.
type Dropped struct {
	// Full: the queue of the frame's flow was full and a newer frame came.
	Full uint64 `json:"full"`
	// Stale: the frame had waited for longer than [QueueAge].
	Stale uint64 `json:"stale"`
	// Lost: the connection broke, or the peer refused, after the frame had
	// left the queue. In a [Memory]: the faults took it.
	Lost uint64 `json:"lost"`
}

// Total is the number of dropped frames.
func (d Dropped) Total() uint64 { return d.Full + d.Stale + d.Lost }

// Refused counts connections, or requests over HTTP, that were refused or cut
// off, by the first reason that applied.
type Refused struct {
	// Busy: too many connections or requests at once.
	Busy uint64 `json:"busy"`
	// Certificate: the TLS handshake failed; there was no certificate, or one
	// of another authority, or an expired one.
	Certificate uint64 `json:"certificate"`
	// Handshake: the introduction was garbled, cut short or too slow.
	Handshake uint64 `json:"handshake"`
	// Version: the protocol version is unknown here.
	Version uint64 `json:"version"`
	// Cluster: the sender belongs to another cluster.
	Cluster uint64 `json:"cluster"`
	// Receiver: the sender looked for another member.
	Receiver uint64 `json:"receiver"`
	// Sender: the sender is no known peer, or it could not prove its name.
	Sender uint64 `json:"sender"`
	// Frame: after a good introduction came a frame that was too long or
	// broken.
	Frame uint64 `json:"frame"`
}

// Total is the number of refusals.
func (r Refused) Total() uint64 {
	return r.Busy + r.Certificate + r.Handshake + r.Version + r.Cluster + r.Receiver + r.Sender + r.Frame
}
