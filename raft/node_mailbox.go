package raft

import "sync"

// Bounds of the mailbox (rule 21).
const (
	mailboxPerSender = 16 // messages of one sender, the oldest go first
	mailboxSenders   = 64 // senders with messages waiting
)

// mailbox holds the messages that wait for the loop, a ring per sender, so that
// no sender can crowd out another. The loop takes from the senders in turn.
type mailbox struct {
	ready chan struct{} // holds a token while messages may be waiting

	mu      sync.Mutex
	rings   map[string]*mailRing
	waiting []*mailRing // those with messages, in the order of their turns
	running bool
	dropped uint64
}

// mailRing holds the messages of one sender.
type mailRing struct {
	messages    [mailboxPerSender]Message
	first, size int
}

func newMailbox() *mailbox {
	return &mailbox{ready: make(chan struct{}, 1), rings: make(map[string]*mailRing)}
}

// open begins to take messages in; until then they are dropped.
func (b *mailbox) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = true
}

// put adds a message. It never blocks: what has no room is dropped and counted.
func (b *mailbox) put(from string, m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ring := b.ringLocked(from)
	if ring == nil {
		b.dropped++
		return
	}
	if ring.size == mailboxPerSender {
		ring.pop()
		b.dropped++
	}
	if ring.size == 0 {
		b.waiting = append(b.waiting, ring)
	}
	ring.messages[(ring.first+ring.size)%mailboxPerSender] = m
	ring.size++
	b.signal()
}

func (b *mailbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// ringLocked returns the ring of a sender, or nil if there is no room for it.
func (b *mailbox) ringLocked(from string) *mailRing {
	if !b.running {
		return nil
	}
	ring := b.rings[from]
	if ring != nil {
		return ring
	}
	if len(b.waiting) >= mailboxSenders {
		return nil
	}
	if len(b.rings) >= mailboxSenders {
		for name, old := range b.rings {
			if old.size == 0 {
				delete(b.rings, name)
			}
		}
	}
	ring = &mailRing{}
	b.rings[from] = ring
	return ring
}

// take returns the next message, if there is one.
func (b *mailbox) take() (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return Message{}, false
	}
	ring := b.waiting[0]
	b.waiting = append(b.waiting[:0], b.waiting[1:]...)
	m := ring.pop()
	if ring.size > 0 {
		b.waiting = append(b.waiting, ring)
	}
	if len(b.waiting) > 0 {
		b.signal()
	}
	return m, true
}

// close drops what is waiting and whatever comes later.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ring := range b.waiting {
		b.dropped += uint64(ring.size)
	}
	b.running, b.rings, b.waiting = false, nil, nil
}

// drops returns how many messages were dropped.
func (b *mailbox) drops() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// pop removes and returns the oldest message; there must be one.
func (r *mailRing) pop() Message {
	m := r.messages[r.first]
	r.messages[r.first] = Message{}
	r.first = (r.first + 1) % mailboxPerSender
	r.size--
	return m
}
