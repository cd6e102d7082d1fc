package raftdiff

import (
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"time"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// tickTime is how often a RawNode is told that time passes.
const tickTime = ms

// rawNodeServer is a node of etcd-io/raft.
type rawNodeServer struct {
	id       uint64
	storage  *etcd.MemoryStorage
	offset   time.Duration // of the ticks
	core     *etcd.RawNode
	nextTick time.Duration
	latest   view
}

// number returns the ID of a node over there.
func number(id string) uint64 { return uint64(id[0]-'A') + 1 }

// name is the opposite of number, "" for none.
func name(id uint64) string {
	if id == etcd.None {
		return ""
	}
	return string(rune('A' + id - 1))
}

func newRawNodeServer(id string, ids []string, seed uint64) server {
	s := &rawNodeServer{id: number(id), storage: etcd.NewMemoryStorage()}
	s.offset = time.Duration(rand.New(rand.NewPCG(seed, s.id)).Int64N(int64(tickTime)))
	members := &raftpb.ConfState{}
	for _, id := range ids {
		members.Voters = append(members.Voters, number(id))
	}
	// A snapshot at index 0 is how the members of a new cluster are told. It
	// cannot be out of date.
	_ = s.storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: members}})
	return s
}

func (s *rawNodeServer) start(now time.Duration) error {
	var err error
	s.core, err = etcd.NewRawNode(&etcd.Config{
		ID: s.id, Storage: s.storage, PreVote: true, CheckQuorum: true,
		ElectionTick: int(etMin / tickTime), HeartbeatTick: int(heartbeat / tickTime),
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256,
		Logger: &etcd.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		return err
	}
	s.nextTick = now + s.offset
	s.look()
	return nil
}

func (s *rawNodeServer) deadline() time.Duration { return s.nextTick }

func (s *rawNodeServer) tick(time.Duration) {
	s.nextTick += tickTime
	s.core.Tick()
}

func (s *rawNodeServer) receive(_ time.Duration, frame []byte) error {
	m := &raftpb.Message{}
	if err := proto.Unmarshal(frame, m); err != nil {
		return err
	}
	// It may drop a proposal, and there are none.
	return s.core.Step(m)
}

// campaign fails only for what nobody proposes.
func (s *rawNodeServer) campaign(time.Duration) { _ = s.core.Campaign() }

func (s *rawNodeServer) transfer(_ time.Duration, to string) { s.core.TransferLeader(number(to)) }

// ready appends entries at once, and has terms and votes saved before anything
// that rests on them is sent.
func (s *rawNodeServer) ready() (effects, bool, error) {
	if !s.core.HasReady() {
		return effects{}, false, nil // Nothing has changed, the view included.
	}
	saved, _, _ := s.storage.InitialState() // It cannot fail.
	r := s.core.Ready()
	s.look()
	errs := []error{s.storage.Append(r.Entries)}
	e := effects{done: func() { s.core.Advance(r); s.look() }}
	switch {
	case etcd.IsEmptyHardState(r.HardState):
	case etcd.MustSync(r.HardState, saved, 0):
		e.save = func() { s.persist(r.HardState) }
	default: // Only the commit index, which nothing rests on.
		s.persist(r.HardState)
	}
	for _, m := range r.Messages {
		data, err := proto.Marshal(m)
		errs = append(errs, err)
		e.frames = append(e.frames, frame{name(m.GetTo()), data})
	}
	return e, true, errors.Join(errs...)
}

// persist keeps a state. Memory does not fail.
func (s *rawNodeServer) persist(state *raftpb.HardState) { _ = s.storage.SetHardState(state) }

// look notes what the node makes of the election.
func (s *rawNodeServer) look() {
	status := s.core.BasicStatus()
	leads := status.RaftState == etcd.StateLeader
	s.latest = view{term: status.GetTerm(), leader: name(status.Lead), won: leads, leads: leads}
}

func (s *rawNodeServer) view(time.Duration) view { return s.latest }
