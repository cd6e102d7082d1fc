package raftdiff

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/raft"
)

// coreServer is a node of this project.
type coreServer struct {
	cfg     raft.Config
	seed    uint64
	boots   uint64
	disk    raft.StoredState
	core    *raft.Core
	effects raft.Effects
	pending bool
}

func newCoreServer(id string, ids []string, seed uint64) server {
	members := make([]raft.Member, len(ids))
	for i, id := range ids {
		members[i] = raft.Member{ID: id, Voter: true}
	}
	return &coreServer{seed: seed, cfg: raft.Config{
		ID: id, Cluster: "diff", Start: raft.Bootstrap(0, members...),
		ElectionTimeoutMin: etMin, ElectionTimeoutMax: etMax, HeartbeatInterval: heartbeat,
	}}
}

func (s *coreServer) start(now time.Duration) error {
	s.boots++
	s.cfg.Rand = rand.NewPCG(s.seed, s.boots<<8|uint64(s.cfg.ID[0]))
	state, err := raft.StartState(s.cfg, s.disk, raft.StoreID{s.cfg.ID[0]})
	if err != nil {
		return err
	}
	s.disk = raft.StoredState{State: state, Found: true}
	s.pending = false
	s.core, err = raft.NewCore(s.cfg, state, s.boots, now)
	return err
}

func (s *coreServer) deadline() time.Duration { return s.core.Deadline() }

func (s *coreServer) tick(now time.Duration) { s.keep(s.core.Tick(now)) }

func (s *coreServer) receive(now time.Duration, frame []byte) error {
	var m raft.Message
	if err := m.UnmarshalBinary(frame); err != nil {
		return err
	}
	s.keep(s.core.Step(now, m))
	return nil
}

// campaign may be refused: a node that has promised not to does not campaign.
func (s *coreServer) campaign(now time.Duration) {
	e, _ := s.core.Campaign(now)
	s.keep(e)
}

// transfer may be refused by a node that leads no more.
func (s *coreServer) transfer(now time.Duration, to string) {
	e, _ := s.core.Transfer(now, to)
	s.keep(e)
}

func (s *coreServer) keep(e raft.Effects) { s.effects, s.pending = e, true }

func (s *coreServer) ready() (effects, bool, error) {
	if !s.pending {
		return effects{}, false, nil
	}
	s.pending = false
	e := effects{done: func() {}}
	if s.effects.Save {
		state := s.effects.State
		e.save = func() { s.disk.State = state }
	}
	var errs []error
	for _, m := range s.effects.Messages {
		data, err := m.AppendBinary(nil)
		errs = append(errs, err)
		e.frames = append(e.frames, frame{m.To, data})
	}
	return e, true, errors.Join(errs...)
}

func (s *coreServer) view(now time.Duration) view {
	end, reigns := s.core.Reign()
	return view{
		term: s.core.Term(), leader: s.core.Leader(),
		won: s.core.Role() == raft.Leader, leads: reigns && now < end,
	}
}
