package tcp

import (
	"net"
	"net/netip"
	"slices"
)

// A pendingSet holds the accepted connections that introduce themselves, each
// with its source. It decides which one is given up when there are too many.
// All its methods take time in proportion to the limit at most.
type pendingSet struct {
	limit int
	// conns are in the order in which they were accepted.
	conns []pendingConn
}

type pendingConn struct {
	conn   net.Conn
	source string
}

func newPendingSet(limit int) *pendingSet {
	return &pendingSet{limit: limit}
}

// add adds conn. If that is one too many, it removes and returns another, or
// conn itself: the oldest connection of the source that has most of them, of
// several such sources the oldest of all. A source that has no more than its
// equal share, the limit divided by the number of sources, therefore loses
// none: one that has more than the average is there to lose one.
func (p *pendingSet) add(conn net.Conn) (removed net.Conn) {
	p.conns = append(p.conns, pendingConn{conn, source(conn.RemoteAddr())})
	if len(p.conns) <= p.limit {
		return nil
	}
	most, perSource := 0, map[string]int{}
	for _, c := range p.conns {
		perSource[c.source]++
		most = max(most, perSource[c.source])
	}
	i := slices.IndexFunc(p.conns, func(c pendingConn) bool { return perSource[c.source] == most })
	removed = p.conns[i].conn
	p.conns = slices.Delete(p.conns, i, i+1)
	return removed
}

// remove removes conn and reports whether it was there.
func (p *pendingSet) remove(conn net.Conn) bool {
	i := slices.IndexFunc(p.conns, func(c pendingConn) bool { return c.conn == conn })
	if i < 0 {
		return false
	}
	p.conns = slices.Delete(p.conns, i, i+1)
	return true
}

// source returns what counts as one source of connections: an IPv4 address or
// an IPv6 prefix of 64 bits, as that is the least that a network gives to a
// host, which may then use any of the 2^64 addresses in it. Connections of
// another network than IP count by the whole of their address.
func source(address net.Addr) string {
	if address == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return address.String()
	}
	ip := ap.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
