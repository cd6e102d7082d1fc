package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// pingSize is the size of a ping's payload, its sequence number.
const pingSize = 8

// A pinger measures the round trip of one connection.
type pinger struct {
	out *outbox.Outbox

	mu   sync.Mutex
	seq  uint64
	sent time.Time
}

// ping appends the next ping to dst.
func (p *pinger) ping(dst []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	p.sent = time.Now()
	var payload [pingSize]byte
	binary.BigEndian.PutUint64(payload[:], p.seq)
	return wire.Append(dst, wire.Ping, payload[:])
}

// readPongs reads the answers until the connection breaks.
func (p *pinger) readPongs(conn net.Conn) error {
	r := wire.NewReader(conn, pingSize)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		kind, payload, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("tcp: closed by the peer: %w", err)
			}
			return err
		}
		if kind == wire.Pong && len(payload) == pingSize {
			p.pong(binary.BigEndian.Uint64(payload))
		}
	}
}

// pong takes the answer to ping seq; only the latest one counts.
func (p *pinger) pong(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq == p.seq {
		p.out.RoundTrip(time.Since(p.sent))
	}
}
