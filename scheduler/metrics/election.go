package metrics

import (
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// electionFamilies are read from raft.Status.
func electionFamilies() []family {
	const prefix = "constellation_raft_"
	roles := []raft.Role{raft.Follower, raft.PreCandidate, raft.Candidate, raft.Leader}
	return []family{
		{
			Family: Family{Name: prefix + "role", Kind: Gauge, Labels: []string{"role"}, Help: "1 for the role of this member, 0 for the others"},
			read: func(l *look, emit func(float64, ...string)) {
				for _, role := range roles {
					emit(flag(l.election.Role == role), role.String())
				}
			},
		},
		gauge(prefix+"leading", "Whether this member holds a valid lease", "", func(l *look) float64 { return flag(l.election.Leading) }),
		gauge(prefix+"leader_known", "Whether this member knows who leads", "", func(l *look) float64 { return flag(l.election.Leader != "") }),
		gauge(prefix+"stopped", "Whether this member takes no part any more", "", func(l *look) float64 { return flag(l.election.Stopped) }),
		gauge(prefix+"term", "The highest term that this member has seen", "", func(l *look) float64 { return float64(l.election.Term) }),
		gauge(prefix+"members", "Members of the cluster", "", func(l *look) float64 { return float64(len(l.election.Configuration.Members)) }),
		gauge(prefix+"reign_age_seconds", "For how long this member has led", "seconds", func(l *look) float64 { return seconds(l.election.Reign) }),
		gauge(prefix+"lease_left_seconds", "How much is left of the lease of this member", "seconds", func(l *look) float64 { return seconds(max(0, l.election.Lease)) }),
		{
			Family: Family{Name: prefix + "peer_lag_seconds", Kind: Gauge, Unit: "seconds", Labels: []string{"peer"}, Help: "How old the latest heartbeat is that another member has answered to this one, which leads"},
			read: func(l *look, emit func(float64, ...string)) {
				for _, p := range l.election.Peers {
					if p.Heard {
						emit(seconds(p.Lag), p.ID)
					}
				}
			},
		},
		counter(prefix+"campaigns", "Elections that this member began", "", func(l *look) uint64 { return l.election.Counters.Campaigns }),
		counter(prefix+"reigns", "Reigns of this member", "", func(l *look) uint64 { return l.election.Counters.Reigns }),
		counter(prefix+"saves", "Saves of the state of the election", "", func(l *look) uint64 { return l.election.Traffic.Saves }),
		counter(prefix+"slow_saves", "Saves that took longer than half an election timeout, which ends a reign", "", func(l *look) uint64 { return l.election.Traffic.SlowSaves }),
		gauge(prefix+"longest_save_seconds", "The save that took the longest", "seconds", func(l *look) float64 { return seconds(l.election.Traffic.LongestSave) }),
		counter(prefix+"sent_messages", "Messages that were given to the transport", "", func(l *look) uint64 { return l.election.Traffic.Sent }),
		counter(prefix+"received_messages", "Messages that were received", "", func(l *look) uint64 { return l.election.Traffic.Received }),
		{
			Family: Family{Name: prefix + "dropped_messages", Kind: Counter, Labels: []string{"reason"}, Help: "Messages that changed nothing, by what was wrong with them"},
			read:   readDropped,
		},
	}
}

func readDropped(l *look, emit func(float64, ...string)) {
	d, t := l.election.Counters.Dropped, l.election.Traffic
	for _, c := range []struct {
		reason string
		n      uint64
	}{
		{"malformed", d.Malformed + t.Malformed},
		{"forged", t.Forged},
		{"foreign", d.Foreign},
		{"unknown", d.Unknown},
		{"wiped", d.Wiped},
		{"twin", d.Twins},
		{"restored", d.Restored},
		{"late", d.Late},
		{"conflicting", d.Conflicting},
		{"unsupported", d.Unsupported},
		{"overflow", t.Overflowed},
		{"unsent", t.Unsent},
	} {
		emit(float64(c.n), c.reason)
	}
}

// transportFamilies are read from transport.Stats.
func transportFamilies() []family {
	const prefix = "constellation_transport_"
	sum := func(name, help string, of func(*transport.PeerStats) uint64) family {
		return counter(prefix+name, help, "", func(l *look) (n uint64) {
			for i := range l.transport.Peers {
				n += of(&l.transport.Peers[i])
			}
			return n
		})
	}
	return []family{
		sum("sent_frames", "Frames that were handed to the network", func(p *transport.PeerStats) uint64 { return p.Sent }),
		sum("received_frames", "Frames that were received", func(p *transport.PeerStats) uint64 { return p.Received }),
		sum("reconnects", "Connections to a peer after the first", func(p *transport.PeerStats) uint64 { return p.Reconnects }),
		sum("failures", "Attempts to reach a peer that failed", func(p *transport.PeerStats) uint64 { return p.Failures }),
		{
			Family: Family{Name: prefix + "dropped_frames", Kind: Counter, Labels: []string{"reason"}, Help: "Frames that were dropped: the queue was full, they were too old, or the connection broke"},
			read: func(l *look, emit func(float64, ...string)) {
				var d transport.Dropped
				for _, p := range l.transport.Peers {
					d.Full, d.Stale, d.Lost = d.Full+p.Dropped.Full, d.Stale+p.Dropped.Stale, d.Lost+p.Dropped.Lost
				}
				emit(float64(d.Full), "full")
				emit(float64(d.Stale), "stale")
				emit(float64(d.Lost), "lost")
			},
		},
		counter(prefix+"refused_connections", "Connections and requests that were refused", "", func(l *look) uint64 { return l.transport.Refused.Total() }),
		{
			Family: Family{Name: prefix + "round_trip_seconds", Kind: Gauge, Unit: "seconds", Labels: []string{"peer"}, Help: "Estimate of the time to a peer and back"},
			read: func(l *look, emit func(float64, ...string)) {
				for _, p := range l.transport.Peers {
					if p.RoundTrip > 0 {
						emit(seconds(p.RoundTrip), p.Peer)
					}
				}
			},
		},
	}
}
