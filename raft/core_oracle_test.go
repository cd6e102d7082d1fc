package raft

import (
	"fmt"
)

// oracle checks the properties O1 to O7 of every history. They are stated
// without regard to how the core works: by what leaves a server, what is on its
// disk, and what its application is told.
type oracle struct {
	leaders map[uint64]string            // O1: term to leader, for ever
	terms   map[string]uint64            // O2: node to the highest term on disk
	grants  map[string]map[uint64]string // O3: node to term to candidate
	ended   map[string]uint64            // O7: node to its latest ended reign
	token   uint64                       // O7: the highest so far
	broken  []string
	log     logOracle
}

func newOracle() oracle {
	return oracle{
		leaders: make(map[uint64]string), terms: make(map[string]uint64),
		grants: make(map[string]map[uint64]string), ended: make(map[string]uint64),
		log: logOracle{committed: make(map[uint64]Entry), seen: make(map[Position]Position), proposed: make(map[Position]string)},
	}
}

func (o *oracle) breaks(format string, args ...any) {
	o.broken = append(o.broken, fmt.Sprintf(format, args...))
}

// started checks a server that begins a run.
func (o *oracle) started(s *server) {
	if term := s.core.Term(); term < o.terms[s.cfg.ID] {
		o.breaks("O2: %s restarts in term %d after %d", s.cfg.ID, term, o.terms[s.cfg.ID])
	}
}

// send checks a message as it leaves.
func (o *oracle) send(s *server, m *Message) {
	disk := s.disk.State
	claims := m.Kind == VoteRequest || m.Kind == Heartbeat ||
		m.Granted && (m.Kind == VoteAnswer || m.Kind == HeartbeatAnswer)
	if claims && (disk.Term < m.Term || disk.Configuration.Compare(m.ConfigurationID) < 0) {
		o.breaks("O4: %s sends %s with term %d and configuration %v on disk",
			s.cfg.ID, transcribe(*m), disk.Term, disk.Configuration.ConfigurationID)
	}
	switch {
	case m.Kind == VoteAnswer && m.Granted:
		o.grant(s, m.Term, m.To)
	case m.Kind == VoteRequest:
		o.grant(s, m.Term, m.From)
	case m.Kind == Heartbeat && (o.leaders[m.Term] != m.From || m.From != s.cfg.ID):
		o.breaks("O5: %s sends a heartbeat of term %d as %s, won by %q", s.cfg.ID, m.Term, m.From, o.leaders[m.Term])
	}
}

// grant checks a vote that others are told of.
func (o *oracle) grant(s *server, term uint64, candidate string) {
	if disk := s.disk.State; disk.Term == term && disk.Vote != candidate {
		o.breaks("O4: %s grants term %d to %s with a vote for %q on disk", s.cfg.ID, term, candidate, disk.Vote)
	}
	if o.grants[s.cfg.ID] == nil {
		o.grants[s.cfg.ID] = make(map[uint64]string)
	}
	if earlier, found := o.grants[s.cfg.ID][term]; found && earlier != candidate {
		o.breaks("O3: %s grants term %d to %s after %s", s.cfg.ID, term, candidate, earlier)
	}
	o.grants[s.cfg.ID][term] = candidate
}

// lead checks a reign that begins.
func (o *oracle) lead(s *server, term uint64) {
	if s.led != 0 {
		o.breaks("O7: %s leads term %d before it has lost %d", s.cfg.ID, term, s.led)
	}
	if term <= o.token {
		o.breaks("O7: %s leads term %d after token %d", s.cfg.ID, term, o.token)
	}
	o.token = max(o.token, term)
	o.begun(s, term)
}

// lose checks a reign that ends.
func (o *oracle) lose(s *server, term uint64) {
	if s.led != term || o.ended[s.cfg.ID] >= term {
		o.breaks("O7: %s loses term %d while leading %d", s.cfg.ID, term, s.led)
	}
	o.ended[s.cfg.ID] = term
}

// check looks at all servers at one instant.
func (o *oracle) check(c *cluster) {
	var reigning *server
	for _, s := range c.servers {
		if !s.up {
			continue
		}
		if s.core.Role() == Leader {
			o.leads(s)
		}
		if !s.saving {
			o.durable(s)
		}
		if !s.reigns() {
			continue
		}
		if reigning != nil {
			o.breaks("O6: %s and %s both lead at %v", reigning.cfg.ID, s.cfg.ID, c.now)
		}
		reigning = s
	}
	if len(o.broken) > 0 && !c.tolerant {
		c.t.Fatalf("%s\n%s", o.broken[0], c.tail())
	}
}

// leads notes who is leader of a term.
func (o *oracle) leads(s *server) {
	term := s.core.Term()
	if earlier, found := o.leaders[term]; found && earlier != s.cfg.ID {
		o.breaks("O1: %s leads term %d after %s", s.cfg.ID, term, earlier)
		return
	}
	if o.leaders[term] == "" {
		o.complete(s)
	}
	o.leaders[term] = s.cfg.ID
}

// durable checks that terms never decrease.
func (o *oracle) durable(s *server) {
	term := s.core.Term()
	if term < o.terms[s.cfg.ID] {
		o.breaks("O2: %s is in term %d after %d", s.cfg.ID, term, o.terms[s.cfg.ID])
	}
	o.terms[s.cfg.ID] = term
}
