package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// site is where the members of a fleet run.
type site interface {
	// listen returns the address that a member listens on and the one at which
	// the others find it.
	listen(name string) (own, public string)
	// command returns the command that runs the given one where the member is.
	command(name string, command []string) []string
}

// network is a site that can be cut.
type network interface {
	site
	// cut lets nothing pass any more from one member to another.
	cut(t *testing.T, from, to string)
	// heal ends all cuts.
	heal(t *testing.T)
}

// addresses is a site on this machine: an address for each member.
type addresses map[string]string

func (a addresses) listen(name string) (own, public string) { return a[name], a[name] }

func (a addresses) command(_ string, command []string) []string { return command }

// loopback is a network on 127.0.0.1, with a proxy before each member. A proxy
// knows who connects from the introduction at the beginning of each connection.
type loopback struct {
	own, public map[string]string

	mu     sync.Mutex
	open   *sync.Cond         // broadcast when cuts or closed change
	cuts   map[[2]string]bool // from, to
	closed bool
}

func newLoopback(t *testing.T, names []string) network {
	t.Helper()
	n := &loopback{own: make(map[string]string), public: make(map[string]string), cuts: make(map[[2]string]bool)}
	n.open = sync.NewCond(&n.mu)
	var proxies sync.WaitGroup
	t.Cleanup(func() {
		n.mu.Lock()
		n.closed = true
		n.open.Broadcast()
		n.mu.Unlock()
		proxies.Wait()
	})
	for i, address := range freeAddresses(t, len(names)) {
		name := names[i]
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		n.own[name], n.public[name] = address, listener.Addr().String()
		t.Cleanup(func() { _ = listener.Close() })
		proxies.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				proxies.Go(func() { n.forward(conn, name, address) })
			}
		})
	}
	return n
}

func (n *loopback) listen(name string) (own, public string) { return n.own[name], n.public[name] }

func (n *loopback) command(_ string, command []string) []string { return command }

func (n *loopback) cut(_ *testing.T, from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]string{from, to}] = true
}

func (n *loopback) heal(*testing.T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	n.open.Broadcast()
}

// passable waits until there is no cut between the two, and reports false if the
// network has closed. What was sent into the cut arrives after it, as with TCP.
func (n *loopback) passable(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.cuts[[2]string{from, to}] && !n.closed {
		n.open.Wait()
	}
	return !n.closed
}

// forward connects a connection with the member that it is for, at its own
// address.
func (n *loopback) forward(conn net.Conn, to, address string) {
	defer func() { _ = conn.Close() }()
	from, hello, err := readHello(conn)
	if err != nil || !n.passable(from, to) {
		return
	}
	member, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var answers sync.WaitGroup
	defer answers.Wait()
	defer func() { _ = member.Close() }()
	if _, err := member.Write(hello); err != nil {
		return
	}
	answers.Go(func() {
		defer func() { _ = conn.Close() }()
		n.pump(conn, member, to, from)
	})
	n.pump(member, conn, from, to)
}

// pump moves bytes for as long as both connections last.
func (n *loopback) pump(dst io.Writer, src io.Reader, from, to string) {
	buf := make([]byte, 4<<10)
	for {
		size, err := src.Read(buf)
		if err != nil || !n.passable(from, to) {
			return
		}
		if _, err := dst.Write(buf[:size]); err != nil {
			return
		}
	}
}

// readHello reads the introduction of package tcp: 4 bytes of magic, 2 of version
// and 2 of length; cluster, from and to, each after a byte with its length; and
// 4 bytes of checksum.
func readHello(conn net.Conn) (from string, hello []byte, err error) {
	hello = make([]byte, 8)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return "", nil, err
	}
	rest := make([]byte, int(binary.BigEndian.Uint16(hello[6:]))+4)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return "", nil, err
	}
	names := rest[1+int(rest[0]):]
	return string(names[1 : 1+int(names[0])]), append(hello, rest...), nil
}

// namespaces is a network with a namespace for each member, all on a bridge in
// one more.
type namespaces struct {
	prefix    string
	addresses map[string]string // without the port
	cuts      [][2]string       // namespace, address
}

const (
	namespacePrefix = "constellation-test-"
	memberPort      = "7000"
	// nobody is the hardware address of nobody.
	nobody = "02:00:00:00:00:99"
)

// newNamespaces skips the test where namespaces cannot be made.
func newNamespaces(t *testing.T, names []string) network {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no program ip; Debian has it in the package iproute2")
	}
	n := &namespaces{
		prefix:    fmt.Sprintf("%s%d-", namespacePrefix, os.Getpid()),
		addresses: make(map[string]string),
	}
	removeOrphans(t)
	hub := n.prefix + "hub"
	if out, err := exec.Command("ip", "netns", "add", hub).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces (not root?): ip netns add: %v: %s", err, out)
	}
	removeAtEnd(t, hub)
	if out, err := exec.Command("ip", "-n", hub, "link", "add", "bridge", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("no bridge: ip link add: %v: %s", err, out)
	}
	ip(t, "-n", hub, "link", "set", "bridge", "up")
	for i, name := range names {
		own := n.prefix + name
		n.addresses[name] = fmt.Sprintf("10.77.0.%d", i+1)
		ip(t, "netns", "add", own)
		removeAtEnd(t, own)
		ip(t, "-n", hub, "link", "add", "name", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", own)
		ip(t, "-n", hub, "link", "set", "to-"+name, "master", "bridge", "up")
		ip(t, "-n", own, "addr", "add", n.addresses[name]+"/24", "dev", "eth0")
		ip(t, "-n", own, "link", "set", "eth0", "up")
		ip(t, "-n", own, "link", "set", "lo", "up")
	}
	return n
}

// ip runs the program of that name.
func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
}

func removeAtEnd(t *testing.T, namespace string) {
	t.Helper()
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", namespace).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete %s: %v: %s", namespace, err, out)
		}
	})
}

// removeOrphans removes the namespaces of tests that were killed.
func removeOrphans(t *testing.T) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, namespacePrefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if ours && err == nil && syscall.Kill(pid, 0) != nil {
			_ = exec.Command("ip", "netns", "delete", name).Run() // Somebody else was first.
		}
	}
}

func (n *namespaces) listen(name string) (own, public string) {
	address := net.JoinHostPort(n.addresses[name], memberPort)
	return address, address
}

func (n *namespaces) command(name string, command []string) []string {
	return append([]string{"ip", "netns", "exec", n.prefix + name}, command...)
}

// cut sends what one member sends to another to a hardware address that nobody
// has: packets vanish without a word, in that direction alone.
func (n *namespaces) cut(t *testing.T, from, to string) {
	t.Helper()
	ip(t, "-n", n.prefix+from, "neighbour", "replace", n.addresses[to], "lladdr", nobody, "dev", "eth0", "nud", "permanent")
	n.cuts = append(n.cuts, [2]string{n.prefix + from, n.addresses[to]})
}

func (n *namespaces) heal(t *testing.T) {
	t.Helper()
	for _, c := range n.cuts {
		ip(t, "-n", c[0], "neighbour", "delete", c[1], "dev", "eth0")
	}
	n.cuts = nil
}
