package tcp

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A fakeConn is a connection from an address. Nothing is read from it.
type fakeConn struct {
	net.Conn

	from net.Addr
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.from }

func connFrom(ip string, port int) *fakeConn {
	return &fakeConn{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}}
}

func TestSources(t *testing.T) {
	tests := []struct {
		name string
		a, b net.Addr
		same bool
	}{
		{"ports", connFrom("10.0.0.1", 1).from, connFrom("10.0.0.1", 2).from, true},
		{"addresses", connFrom("10.0.0.1", 1).from, connFrom("10.0.0.2", 1).from, false},
		{
			"an address as IPv6 writes it", connFrom("10.0.0.1", 1).from,
			&net.UnixAddr{Name: "[::ffff:10.0.0.1]:1"}, true,
		},
		{"one IPv6 prefix", connFrom("2001:db8::1", 1).from, connFrom("2001:db8::ffff:1", 2).from, true},
		{"two IPv6 prefixes", connFrom("2001:db8::1", 1).from, connFrom("2001:db8:0:1::1", 1).from, false},
		{
			"zones of one link",
			&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, &net.TCPAddr{IP: net.ParseIP("fe80::2"), Zone: "eth0"}, true,
		},
		{"other networks", &net.UnixAddr{Name: "a"}, &net.UnixAddr{Name: "b"}, false},
		{"no address", nil, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.same, source(tt.a) == source(tt.b)) })
	}
}

// However many connections one address opens, a connection from elsewhere stays.
func TestFloodFromOneAddressDisplacesNobodyElse(t *testing.T) {
	const limit = 64
	p := newPendingSet(limit)
	member := connFrom("10.0.0.2", 1)
	require.Nil(t, p.add(member))
	var flood []net.Conn
	for i := range 10 * limit {
		conn := connFrom("10.0.0.1", 1+i)
		flood = append(flood, conn)
		removed := p.add(conn)
		if i < limit-1 {
			require.Nil(t, removed)
			continue
		}
		require.Same(t, flood[0], removed, "the oldest of the flood")
		flood = flood[1:]
	}
	require.True(t, p.remove(member))
	require.False(t, p.remove(member))
}

func TestPendingSetAgainstModel(t *testing.T) { rapid.Check(t, checkPending) }

func FuzzPendingSet(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkPending)) }

// checkPending compares the set with a plain list, and checks the promise: an
// address that has no more than its equal share loses no connection.
func checkPending(t *rapid.T) {
	limit := rapid.IntRange(1, 6).Draw(t, "limit")
	p := newPendingSet(limit)
	var model []*fakeConn
	count := func(ip string) int {
		n := 0
		for _, c := range model {
			if source(c.from) == ip {
				n++
			}
		}
		return n
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			conn := connFrom(fmt.Sprint("10.0.0.", rapid.IntRange(1, 8).Draw(t, "source")), 1)
			model = append(model, conn)
			removed := p.add(conn)
			if len(model) <= limit {
				require.Nil(t, removed)
				return
			}
			sources, victim := map[string]bool{}, model[0]
			for _, c := range model {
				sources[source(c.from)] = true
				if count(source(c.from)) > count(source(victim.from)) {
					victim = c
				}
			}
			require.Same(t, victim, removed)
			require.Greater(t, count(source(victim.from))*len(sources), limit, "more than its equal share")
			model = slices.DeleteFunc(model, func(c *fakeConn) bool { return c == victim })
		},
		"remove": func(t *rapid.T) {
			if len(model) == 0 {
				return // skipping would fail an input that removes a hundred times
			}
			i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
			require.True(t, p.remove(model[i]))
			require.False(t, p.remove(model[i]))
			model = slices.Delete(model, i, i+1)
		},
		"": func(t *rapid.T) {
			require.Len(t, p.conns, len(model))
			for i, c := range model {
				require.Same(t, c, p.conns[i].conn)
			}
		},
	})
}
