package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// attack is what one connection does to a member. Afterwards it is silent, until
// the member cuts it off.
type attack struct {
	name string
	// to the port of the status, over TLS without a certificate, over TLS with
	// that of a member; else as plain bytes to the members' port.
	status, stranger, member bool
	// honest or forged says that the introduction of the intruder goes first, or
	// that of another member.
	honest, forged bool
	send           func(conn net.Conn) error
}

// attacks has one of each kind. The intruder is a member that is known to all
// but not started; intruders have its certificate.
func attacks() []attack {
	send := func(b []byte) func(net.Conn) error {
		return func(conn net.Conn) error { _, err := conn.Write(b); return err }
	}
	garbage := make([]byte, 4<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(garbage) // It never fails.
	noMessage := frame(garbage)
	return []attack{
		{name: "silence", send: send(nil)},
		{name: "garbage", send: send(garbage)},
		{name: "half a TLS record", send: send([]byte{22, 3, 1, 2, 0, 1})},
		{name: "a byte now and then", send: drip},
		{name: "no certificate", stranger: true, send: send(garbage)},
		{name: "half an introduction", member: true, send: send([]byte("cnst\x00\x01\x00"))},
		{name: "no introduction", member: true, send: send(garbage)},
		{name: "name of another member", member: true, forged: true, send: send(nil)},
		{name: "silence of a member", member: true, honest: true, send: send(nil)},
		{name: "half a frame", member: true, honest: true, send: send(noMessage[:100])},
		{name: "a gigabyte", member: true, honest: true, send: send([]byte{64, 0, 0, 0, 1, 2, 3, 4, 0})},
		{name: "broken frame", member: true, honest: true, send: send(append(slices.Clip(noMessage), garbage...))},
		{name: "no messages", member: true, honest: true, send: func(conn net.Conn) error {
			for range 100 {
				if _, err := conn.Write(noMessage); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "silence for the status", status: true, send: send(nil)},
		{name: "garbage for the status", status: true, send: send(garbage)},
		{name: "half a request", status: true, send: send([]byte("GET /status HTTP/1.1\r\nHost: "))},
	}
}

// intruder is the member that attacks the others.
const intruder = "d"

// frame returns a frame of package tcp: length, checksum, kind, payload.
func frame(payload []byte) []byte {
	body := append([]byte{0}, payload...)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...)
}

// drip sends the beginning of a long TLS record, byte by byte.
func drip(conn net.Conn) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		b := byte(0)
		if header := []byte{22, 3, 1, 64, 0}; i < len(header) {
			b = header[i]
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			return err
		}
		<-ticker.C
	}
}

// Whatever comes from outside, and from a member with a good certificate, is cut
// off, and the election goes on as if nothing had happened.
//
// It runs alone: the others elect within less time than the flood may take.
func TestHostileInput(t *testing.T) {
	connections := 1_000
	if long() {
		connections = 10_000
	}
	names := []string{"a", "b", "c"}
	site, statuses := make(addresses), make(map[string]string)
	for i, address := range freeAddresses(t, 7) {
		if i < 4 {
			site[append(names, intruder)[i]] = address
		} else {
			statuses[names[i-4]] = address
		}
	}
	authority := newAuthority(t)
	r := newTrial(t, plan{
		// The timeout is long, so that a slow machine is not taken for a success
		// of the attack.
		site: site, names: names, absent: []string{intruder}, timeout: 6 * time.Second,
		authority: authority, http: statuses, alone: true,
	})
	r.startAll(t)
	leader := r.settled(t)
	before := r.statuses(t, statuses)

	a := newAttacker(t, authority, site, statuses)
	require.NoError(t, a.attackOnce(t.Context(), names))
	require.NoError(t, a.flood(t.Context(), names, connections))

	require.Equal(t, leader, r.settled(t))
	for name, s := range r.statuses(t, statuses) {
		require.Equal(t, leader.member, s.Leader)
		require.Equal(t, leader.term, s.Term)
		require.Equal(t, before[name].Counters.Reigns, s.Counters.Reigns)
		require.Equal(t, before[name].Counters.PreCampaigns, s.Counters.PreCampaigns)
		require.NotZero(t, s.Refused.Handshake)
		require.NotZero(t, s.Refused.Certificate)
		require.NotZero(t, s.Refused.Sender)
		require.NotZero(t, s.Refused.Frame)
		require.NotZero(t, s.Traffic.Malformed)
		t.Logf("%s: refused %+v, malformed %d", name, s.Refused, s.Traffic.Malformed)
	}
	r.stop(t)
	r.check(t)
}

// statuses asks all members.
func (r *trial) statuses(t *testing.T, at map[string]string) map[string]status {
	t.Helper()
	all := make(map[string]status)
	for _, name := range r.names {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at[name]+"/status", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "application/json", response.Header.Get("Content-Type"))
		var s status
		require.NoError(t, json.NewDecoder(response.Body).Decode(&s))
		require.NoError(t, response.Body.Close())
		require.Equal(t, name, s.ID)
		require.Len(t, s.Members, 4)
		require.NotEmpty(t, s.LeaderAddress)
		all[name] = s
	}
	return all
}

// attacker knows all that an attacker can know.
type attacker struct {
	site        addresses
	statuses    map[string]string
	certificate tls.Certificate
	pool        *x509.CertPool
	// introductions to each member, the intruder's own and those of another
	hellos, forged map[string][]byte
}

func newAttacker(t *testing.T, authority *authority, site addresses, statuses map[string]string) *attacker {
	t.Helper()
	a := &attacker{
		site: site, statuses: statuses, pool: x509.NewCertPool(),
		hellos: make(map[string][]byte), forged: make(map[string][]byte),
	}
	authorities, err := os.ReadFile(authority.file)
	require.NoError(t, err)
	require.True(t, a.pool.AppendCertsFromPEM(authorities))
	a.certificate, err = tls.LoadX509KeyPair(authority.issue(t, intruder))
	require.NoError(t, err)
	for from, to := range map[string]string{"a": "b", "b": "c", "c": "a"} {
		a.hellos[to] = recordHello(t, intruder, to)
		a.forged[to] = recordHello(t, from, to)
	}
	return a
}

// recordHello returns the introduction that a transport makes.
func recordHello(t *testing.T, from, to string) []byte {
	t.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		var err error
		listeners[i], err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
	}
	defer func() { require.NoError(t, listeners[1].Close()) }()
	transport, err := tcp.New(tcp.Config{
		Cluster: "election", Name: from, Listener: listeners[0],
		Peers: map[string]string{to: listeners[1].Addr().String()}, Insecure: true,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- transport.Serve(ctx, func(string, []byte) {}) }()
	defer func() { cancel(); require.NoError(t, <-served) }()
	conn, err := listeners[1].Accept()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	name, hello, err := readHello(conn)
	require.NoError(t, err)
	require.Equal(t, from, name)
	return hello
}

// attackOnce makes each attack on each member. Connections in the intruder's name
// replace one another, so they come one after the other.
func (a *attacker) attackOnce(ctx context.Context, names []string) error {
	var lanes sync.WaitGroup
	failures := make(chan error, len(names)*len(attacks()))
	for _, name := range names {
		var inTurn []attack
		for _, kind := range attacks() {
			if kind.honest {
				inTurn = append(inTurn, kind)
				continue
			}
			lanes.Go(func() { failures <- a.attack(ctx, kind, name) })
		}
		lanes.Go(func() {
			for _, kind := range inTurn {
				failures <- a.attack(ctx, kind, name)
			}
		})
	}
	lanes.Wait()
	close(failures)
	var errs []error
	for err := range failures {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// flood makes that many attacks at once.
func (a *attacker) flood(ctx context.Context, names []string, connections int) error {
	var attacking sync.WaitGroup
	kinds := attacks()
	failures := make([]error, connections)
	for i := range connections {
		attacking.Go(func() {
			failures[i] = a.attack(ctx, kinds[i%len(kinds)], names[i/len(kinds)%len(names)])
		})
	}
	attacking.Wait()
	return errors.Join(failures...)
}

// attack makes one attack and waits until it is cut off. It fails only if it is
// not.
func (a *attacker) attack(ctx context.Context, kind attack, target string) error {
	address := a.site[target]
	if kind.status {
		address = a.statuses[target]
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil // It was turned away at the door.
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	conn := raw
	if kind.stranger || kind.member {
		cfg := &tls.Config{RootCAs: a.pool, ServerName: target}
		if kind.member {
			cfg.Certificates = []tls.Certificate{a.certificate}
		}
		conn = tls.Client(raw, cfg)
	}
	err = a.speak(conn, kind, target)
	if err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("not cut off: " + kind.name)
	}
	return nil // Cut off, in one way or the other.
}

// speak sends what the attack sends.
func (a *attacker) speak(conn net.Conn, kind attack, target string) error {
	var hello []byte
	switch {
	case kind.honest:
		hello = a.hellos[target]
	case kind.forged:
		hello = a.forged[target]
	}
	if len(hello) > 0 {
		if _, err := conn.Write(hello); err != nil {
			return err
		}
	}
	return kind.send(conn)
}
