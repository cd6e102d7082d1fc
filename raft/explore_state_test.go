package raft

import (
	"slices"
	"time"
)

// world is one state of a small cluster: three cores and the messages in
// flight. A core saves what it has decided within one action, so that its disk
// is its hard state. A world is immutable: an action clones the core that it is
// about.
//
// Two things that the core keeps are not part of a world, because to leave them
// out only adds to what can happen. When an election timeout runs out: a
// campaign by hand may come at any time, so the walk lets one begin whenever the
// node is free to. And which process spoke last under a member's name: that only
// ever makes a node drop messages, and any message may be lost.
type world struct {
	nodes    [worldSize]worldNode
	messages []Message
	// terms is the last term that there is.
	terms uint64
	// leaders and token are what the oracles remember: who won each term, and
	// the latest reign.
	leaders [maxWorldTerm + 1]string
	token   uint64
	// What may still happen.
	crashes, transfers int
	// relics may arrive at any time, any number of times.
	relics []Message
	broken string

	parent *world // if the walk is to be told
	action string
}

type worldNode struct {
	core *Core
	// clock is the local time; those of two nodes differ by the skew at most.
	clock time.Duration
}

const (
	worldSize    = 3
	maxWorldTerm = 3
	worldTick    = 1024 * time.Nanosecond
)

// worldID returns the name of a node.
func worldID(i int) string { return "ABC"[i : i+1] }

// worldIndex returns the node of that name, worldSize for none.
func worldIndex(id string) int {
	if id == "" {
		return worldSize
	}
	return int(id[0] - 'A')
}

// sender returns the core that a message is from.
func (w *world) sender(m *Message) *Core { return w.nodes[worldIndex(m.From)].core }

// receiver returns the core that a message is for.
func (w *world) receiver(m *Message) *Core { return w.nodes[worldIndex(m.To)].core }

// meaning is what a message can still bring about, whatever comes before it.
type meaning uint8

const (
	// means nothing: the message might as well be lost.
	meansNothing meaning = iota
	// means a term: an answer of a later term than its receiver's. Who gave it,
	// and to what question, no longer matters, because a campaign or reign that
	// it could be an answer to is over before the receiver is in that term.
	meansTerm
	// means a question: the receiver will say which term it is in, unless it
	// reigns, and change nothing. What was asked no longer matters.
	meansQuestion
	// means a greeting: the receiver will say which term it is in, even if it
	// reigns. It is a heartbeat of an earlier term than the receiver's.
	meansGreeting
	// means a campaign's question, or the answer that wins it. A majority of
	// three is one other node, so that it does not matter which.
	meansCampaign
	// means a question whose campaign is over, but which may still get a vote.
	meansLateRequest
	// means a heartbeat, or an answer that extends a lease.
	meansLease
	// means an order to campaign.
	meansOrder
)

// meaning tells what a message can still bring about.
func (w *world) meaning(m *Message) meaning {
	to := w.receiver(m)
	switch m.Kind {
	case PreVoteAnswer, VoteAnswer, HeartbeatAnswer:
		return w.answerMeaning(m)
	case PreVoteRequest:
		if m.Term > to.hard.Term && w.awaited(m) && w.asks(w.sender(m), PreCandidate, m.Sequence) {
			return meansCampaign
		}
		return w.question(m, meansQuestion)
	case VoteRequest:
		mayGrant := m.Term > to.hard.Term || m.Term == to.hard.Term && to.unpledged(m.From)
		switch {
		case mayGrant && w.awaited(m) && w.asks(w.sender(m), Candidate, m.Sequence):
			return meansCampaign
		case mayGrant:
			return meansLateRequest
		default:
			return w.question(m, meansQuestion)
		}
	case Heartbeat:
		if m.Term < to.hard.Term {
			return w.question(m, meansGreeting)
		}
		// Even an old one ends a pre-campaign, of which there is none in the last
		// term.
		if w.isOld(m) && to.hard.Term >= w.terms && w.age(m) == ageless {
			return meansNothing
		}
		return meansLease
	case TimeoutNow:
		// In the last term nobody can campaign.
		if m.Term < to.hard.Term || m.Term >= w.terms || m.Term == to.hard.Term && to.leader != m.From && to.leader != "" {
			return meansNothing
		}
		return meansOrder
	default:
		return meansNothing
	}
}

// answerMeaning is meaning for an answer. With one other vote a campaign is won,
// so a refusal decides nothing: with it or without, a campaign that nothing else
// can come of is over.
func (w *world) answerMeaning(m *Message) meaning {
	to := w.receiver(m)
	switch {
	case !w.awaited(m):
		return meansNothing
	case m.Term > to.hard.Term:
		return meansTerm
	case !m.Granted:
		return meansNothing
	case m.Kind == PreVoteAnswer && w.asks(to, PreCandidate, m.Sequence),
		m.Kind == VoteAnswer && w.asks(to, Candidate, m.Sequence):
		return meansCampaign
	case m.Kind == HeartbeatAnswer && w.age(m) != ageless:
		return meansLease
	default:
		return meansNothing
	}
}

// question returns the meaning of what its receiver will only answer with its
// term: none to a sender in the last term, or to one that has restarted since.
func (w *world) question(m *Message, as meaning) meaning {
	if w.sender(m).hard.Term >= w.terms || !w.awaited(m) {
		return meansNothing
	}
	return as
}

// awaited reports whether the process that has asked still runs, of a question or
// of an answer: to another one the answer means nothing.
func (w *world) awaited(m *Message) bool {
	asker, boot := w.sender(m), m.Boot
	if m.Kind.isAnswer() {
		asker, boot = w.receiver(m), m.Asker
	}
	return asker.boot == boot || asker.faults.countStrayAnswers
}

// asks reports whether a node is in that campaign. A pre-campaign in the last
// term comes to nothing.
func (w *world) asks(c *Core, as Role, sequence uint64) bool {
	return c.role == as && c.campaign.sequence == sequence && (as == Candidate || c.hard.Term < w.terms)
}

// isOld reports whether a heartbeat resets nothing.
func (w *world) isOld(m *Message) bool {
	to := w.receiver(m)
	return m.Term == to.hard.Term && m.Sequence <= to.lastHeartbeat
}

// ageless stands for a round of heartbeats whose answer no longer extends a
// lease.
const ageless = 255

// age returns how many ticks ago a heartbeat, or the one answered, was sent.
func (w *world) age(m *Message) byte {
	c := w.sender(m)
	if m.Kind == HeartbeatAnswer {
		c = w.receiver(m)
	}
	now := w.nodes[c.self].clock
	sent, ok := c.sentAt(m.Sequence)
	switch {
	case c.role != Leader || m.Term != c.hard.Term || !ok || c.reign.ended && !c.faults.renewAfterTransfer:
		return ageless
	case c.faults.leaseFromReceipt:
		return byte((now - sent) / worldTick)
	case sent+c.lease <= now, sent <= c.majorityAck():
		return ageless
	default:
		return byte((now - sent) / worldTick)
	}
}

// campaigns reports whether a node is in a campaign that can still be won. One
// that cannot is no different from following: its requests are not repeated, and
// what ends it begins the same from there.
func (w *world) campaigns(i int) bool {
	c := w.nodes[i].core
	if c.role != PreCandidate && c.role != Candidate {
		return false
	}
	for j := range w.messages {
		m := &w.messages[j]
		asker := ""
		switch m.Kind {
		case PreVoteRequest, VoteRequest:
			asker = m.From
		case PreVoteAnswer, VoteAnswer:
			asker = m.To
		default:
		}
		if asker == c.cfg.ID && w.meaning(m) == meansCampaign {
			return true
		}
	}
	return false
}

// role returns the role of a node as far as it matters.
func (w *world) role(i int) Role {
	c := w.nodes[i].core
	if c.role == Leader || w.campaigns(i) {
		return c.role
	}
	return Follower
}

// settled reports whether nobody can win a term any more.
func (w *world) settled(term uint64) bool {
	for i := range w.nodes {
		at := w.nodes[i].core.hard.Term
		if at < term || at == term && w.role(i) == Candidate {
			return false
		}
	}
	return true
}

// tokenMatters reports whether a reign could still begin in an earlier term than
// the latest one's, or again in that. A second leader of that term is found
// without.
func (w *world) tokenMatters() bool {
	for i := range w.nodes {
		c := w.nodes[i].core
		waits := c.role == Leader && !c.reign.running && (!c.reign.ended || c.faults.renewAfterTransfer)
		switch {
		case c.hard.Term+1 < w.token, c.hard.Term < w.token && (waits || w.role(i) == Candidate):
			return true
		case c.hard.Term == w.token && waits && c.faults.renewAfterTransfer:
			return true
		}
	}
	return false
}

// voteMatters reports whether a request of its term can still reach a node.
func (w *world) voteMatters(i int) bool {
	term := w.nodes[i].core.hard.Term
	for j := range w.nodes {
		if w.nodes[j].core.hard.Term < term || w.nodes[j].core.faults.resetVoteOnEqualTerm {
			return true
		}
	}
	return slices.ContainsFunc(w.messages, func(m Message) bool {
		return w.mayBeGranted(&m) && m.Term == term && worldIndex(m.To) == i
	})
}

// mayBeGranted reports whether a message is a request that may still get a vote.
func (w *world) mayBeGranted(m *Message) bool {
	if m.Kind != VoteRequest {
		return false
	}
	means := w.meaning(m)
	return means == meansCampaign || means == meansLateRequest
}

// transferMatters reports whether a transfer is to come or under way.
func (w *world) transferMatters() bool {
	return w.transfers > 0 || slices.ContainsFunc(w.messages, func(m Message) bool {
		return w.meaning(&m) == meansOrder || m.Transfer != 0 && w.mayBeGranted(&m)
	})
}
