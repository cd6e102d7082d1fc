package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// status is the answer to GET /status.
type status struct {
	ID            string            `json:"id"`
	Role          string            `json:"role"`
	Term          uint64            `json:"term"`
	Leader        string            `json:"leader,omitempty"`
	LeaderAddress string            `json:"leaderAddress,omitempty"`
	Leading       bool              `json:"leading"`
	LeaseMillis   int64             `json:"leaseMillis"`
	Incarnation   uint64            `json:"incarnation"`
	Configuration string            `json:"configuration"`
	Members       []memberStatus    `json:"members"`
	Counters      raft.Counters     `json:"counters"`
	Traffic       raft.Traffic      `json:"traffic"`
	Refused       transport.Refused `json:"refusedConnections"`
	Peers         []peerStatus      `json:"peers"`
}

// memberStatus is what the configuration says about a member.
type memberStatus struct {
	ID       string `json:"id"`
	Voter    bool   `json:"voter"`
	Priority int    `json:"priority"`
	Address  string `json:"address"`
	StoreID  string `json:"storeId"`
}

// peerStatus is how the connection with a peer is.
type peerStatus struct {
	Name            string            `json:"name"`
	Sent            uint64            `json:"sent"`
	Dropped         transport.Dropped `json:"dropped"`
	Queued          int               `json:"queued"`
	Received        uint64            `json:"received"`
	Reconnects      uint64            `json:"reconnects"`
	Failures        uint64            `json:"failures"`
	RoundTripMicros int64             `json:"roundTripMicros"`
	Error           string            `json:"error,omitempty"`
}

// status is what the process knows now.
func (s *service) status() status {
	now, carried := s.node.Status(), s.carrier.Stats()
	leader, _ := now.Configuration.Member(now.Leader)
	return status{
		ID: now.ID, Role: now.Role.String(), Term: now.Term,
		Leader: now.Leader, LeaderAddress: leader.Data,
		Leading: now.Leading, LeaseMillis: now.Lease.Milliseconds(),
		Incarnation:   now.Incarnation,
		Configuration: now.Configuration.String(), Members: memberStatuses(now.Configuration.Members),
		Counters: now.Counters, Traffic: now.Traffic,
		Refused: carried.Refused, Peers: peerStatuses(carried.Peers),
	}
}

func memberStatuses(members []raft.Member) []memberStatus {
	statuses := make([]memberStatus, len(members))
	for i, m := range members {
		statuses[i] = memberStatus{m.ID, m.Voter, m.Priority, m.Data, m.StoreID.String()}
	}
	return statuses
}

func peerStatuses(peers []transport.PeerStats) []peerStatus {
	statuses := make([]peerStatus, len(peers))
	for i, p := range peers {
		statuses[i] = peerStatus{
			Name: p.Peer, Sent: p.Sent, Dropped: p.Dropped, Queued: p.Queued, Received: p.Received,
			Reconnects: p.Reconnects, Failures: p.Failures, RoundTripMicros: p.RoundTrip.Microseconds(),
		}
		if p.LastError != nil {
			statuses[i].Error = p.LastError.Error()
		}
	}
	return statuses
}

// serveStatus answers GET /status until ctx ends.
func (s *service) serveStatus(ctx context.Context, listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(s.status()) // The client has gone.
	})
	// Whoever connects and then is silent or slow is cut off.
	server := &http.Server{
		Handler:     mux,
		ReadTimeout: time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.printf("%s: GET /status ends: %v", s.work.name, err)
	}
}
