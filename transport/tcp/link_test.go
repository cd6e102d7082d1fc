package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

func TestFramesArriveBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
		require.NoError(t, a.Send("b", []byte("sent before Serve")))
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		time.Sleep(second)
		require.NoError(t, b.Send("a", []byte("back")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "sent before Serve"}}, drain(atB))
		require.Equal(t, []arrival{{"b", "back"}}, drain(atA))
		sent := peerStats(t, a, "b")
		require.Equal(t, uint64(1), sent.Sent)
		require.Equal(t, uint64(1), sent.Received)
		require.NoError(t, sent.LastError)
	})
}

func TestSendErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newPipeNet().member(t, "a", "b")
		require.ErrorIs(t, a.Send("nobody", nil), transport.ErrUnknownPeer)
		require.ErrorIs(t, a.Send("a", nil), transport.ErrUnknownPeer, "a member is no peer of itself")
		require.ErrorIs(t, a.Send("b", make([]byte, transport.DefaultMaxFrame+1)), transport.ErrTooLarge)
		require.NoError(t, a.Send("b", make([]byte, transport.DefaultMaxFrame)))
		_, stop := serve(t, a)
		stop()
		require.ErrorIs(t, a.Send("b", nil), transport.ErrClosed)
		require.ErrorIs(t, a.SetPeer("c", "c"), transport.ErrClosed)
		require.ErrorIs(t, a.Serve(t.Context(), nil), transport.ErrClosed)
		require.Equal(t, transport.Dropped{Lost: 1}, peerStats(t, a, "b").Dropped, "what waited is lost")
	})
}

// A peer that accepts and never reads: Send does not block, others get their
// frames, and what waits is bounded in number and in age.
func TestPeerThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, c := n.member(t, "a", "b", "c"), n.member(t, "c", "a")
		deaf := n.listen("b")
		go func() {
			for {
				conn, err := deaf.Accept()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				if _, err := wire.ReadHello(conn); err == nil {
					_, _ = conn.Write(wire.Accepted.Append(nil))
					// It takes the first ping, and nothing after that.
					_, _, _ = wire.NewReader(conn, 100).Next()
				}
			}
		}()
		defer func() { _ = deaf.Close() }()
		serve(t, a)
		atC, _ := serve(t, c)
		time.Sleep(second)

		start := time.Now()
		const frames = 1000
		for i := range frames {
			require.NoError(t, a.Send("b", make([]byte, 1000)))
			require.NoError(t, a.Send("c", strconv.AppendInt(nil, int64(i), 10)))
			synctest.Wait()
		}
		require.Zero(t, time.Since(start), "no call may wait for the deaf peer")
		require.Len(t, drain(atC), frames)
		b := peerStats(t, a, "b")
		require.LessOrEqual(t, b.Queued, transport.QueueFrames)
		require.Positive(t, b.Dropped.Full)

		time.Sleep(3 * second)
		b = peerStats(t, a, "b")
		require.Zero(t, b.Queued, "frames that have waited for a second are dropped")
		require.Positive(t, b.Dropped.Stale)
		require.Positive(t, b.Dropped.Lost)
		require.Positive(t, b.Reconnects, "a connection whose peer takes nothing is given up")
		require.Equal(t, uint64(frames), b.Dropped.Total()+b.Sent)
		require.Positive(t, b.Failures)
	})
}

func TestAttemptsAtADeadPeerAreDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "dead")
		serve(t, a)
		time.Sleep(time.Minute)
		attempts := n.attempts("dead")
		require.Less(t, len(attempts), 130)
		require.Greater(t, len(attempts), 60)
		waits := map[time.Duration]bool{}
		for i := 10; i < len(attempts); i++ {
			wait := attempts[i].Sub(attempts[i-1])
			require.LessOrEqual(t, wait, second)
			require.GreaterOrEqual(t, wait, second/2)
			waits[wait] = true
		}
		require.Greater(t, len(waits), 20, "waits have jitter")
		dead := peerStats(t, a, "dead")
		require.Equal(t, uint64(len(attempts)), dead.Failures)
		require.ErrorIs(t, dead.LastError, errNobody)
	})
}

// A peer that accepts and never introduces itself costs time at each attempt;
// that does not make the pauses shorter.
func TestAttemptsAtASilentPeerAreDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "silent")
		l := n.listen("silent")
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
			}
		}()
		defer func() { _ = l.Close() }()
		serve(t, a)
		time.Sleep(time.Minute)
		attempts := n.attempts("silent")
		for i := 10; i < len(attempts); i++ {
			require.GreaterOrEqual(t, attempts[i].Sub(attempts[i-1]), 2*second+second/2)
		}
		require.Greater(t, len(attempts), 15)
	})
}

// Fifty members lose one peer at the same instant. Their attempts must not
// come in step.
func TestConnectionStormIsDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 50
		n := newPipeNet()
		for i := range members {
			serve(t, n.member(t, "member "+strconv.Itoa(i), "lost"))
		}
		time.Sleep(30 * second)
		slots := map[time.Duration]int{}
		start := n.attempts("lost")[0]
		for _, at := range n.attempts("lost") {
			if since := at.Sub(start); since > 10*second {
				slots[since.Truncate(100*ms)]++
			}
		}
		for slot, attempts := range slots {
			require.LessOrEqual(t, attempts, members/3, "at %v", slot)
		}
	})
}

// An address at which nothing answers, not even with a refusal: an attempt
// takes a second, and a new address ends it.
func TestAddressThatSwallows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		n.listen("nowhere") // Nobody accepts there.
		a, b := n.member(t, "a"), n.member(t, "b", "a")
		require.NoError(t, a.SetPeer("b", "nowhere"))
		serve(t, a)
		time.Sleep(30 * second)
		attempts := n.attempts("nowhere")
		require.Greater(t, len(attempts), 15)
		require.ErrorIs(t, peerStats(t, a, "b").LastError, context.DeadlineExceeded)

		time.Sleep(time.Until(attempts[len(attempts)-1].Add(2 * second))) // Within an attempt, whatever the pause.
		require.NoError(t, a.SetPeer("b", "b"))
		atB, _ := serve(t, b)
		synctest.Wait()
		require.NoError(t, a.Send("b", []byte("moved")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "moved"}}, drain(atB))
		require.NoError(t, peerStats(t, a, "b").LastError, "it is reached again")
	})
}

// After a connection that lasted, the pauses begin anew with the shortest.
func TestPausesBeginAnewAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		time.Sleep(time.Minute)
		_, stop := serve(t, n.member(t, "b", "a"))
		time.Sleep(time.Minute)
		stop()
		gone, before := time.Now(), len(n.attempts("b"))
		time.Sleep(second)
		require.LessOrEqual(t, n.attempts("b")[before].Sub(gone), 50*ms)
	})
}

// A peer that comes back is connected to at once, because its connection is a retry hint.
func TestPeerThatComesBackIsReachedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		time.Sleep(time.Minute + 100*ms)
		b := n.member(t, "b", "a")
		atB, _ := serve(t, b)
		synctest.Wait()
		require.NoError(t, a.Send("b", []byte("welcome back")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "welcome back"}}, drain(atB))
	})
}

// That a peer has connected while it was connected to does not hurry the
// attempts after its end.
func TestPeerThatGoesIsNotTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
		serve(t, a)
		_, stop := serve(t, b)
		synctest.Wait()
		before := len(n.attempts("b"))
		gone := time.Now()
		stop()
		time.Sleep(second)
		require.GreaterOrEqual(t, n.attempts("b")[before].Sub(gone), 25*ms)
	})
}

func TestThousandReconnectsLeakNothing(t *testing.T) {
	// The bubble itself fails if a goroutine is left at its end.
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
		serve(t, a)
		arrivals, _ := serve(t, b)
		synctest.Wait() // or the first introduction may be cut short, which is refused
		for i := range 1000 {
			require.NoError(t, a.SetPeer("b", "b"))
			synctest.Wait()
			require.NoError(t, a.Send("b", strconv.AppendInt(nil, int64(i), 10)))
			synctest.Wait()
			require.Equal(t, []arrival{{"a", strconv.Itoa(i)}}, drain(arrivals))
		}
		require.GreaterOrEqual(t, peerStats(t, a, "b").Reconnects, uint64(999))
		require.Zero(t, b.Stats().Refused)
	})
}

func TestPeerMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		time.Sleep(10 * second)
		b, err := tcp.New(tcp.Config{
			Cluster: "test", Name: "b", Listener: n.listen("elsewhere"), Peers: map[string]string{"a": "a"},
			Insecure: true, Dial: n.dial,
		})
		require.NoError(t, err)
		require.NoError(t, a.SetPeer("b", "elsewhere"))
		atB, _ := serve(t, b)
		synctest.Wait()
		require.NoError(t, a.Send("b", []byte("moved")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "moved"}}, drain(atB))
	})
}

func TestPeersComeAndGoAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a"), n.member(t, "b", "a")
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		require.ErrorIs(t, a.Send("b", nil), transport.ErrUnknownPeer)
		synctest.Wait()
		require.Positive(t, a.Stats().Refused.Sender, "b is no peer of a yet")

		require.NoError(t, a.SetPeer("b", "b"))
		require.NoError(t, a.Send("b", []byte("hello")))
		time.Sleep(3 * second)
		require.Equal(t, []arrival{{"a", "hello"}}, drain(atB))

		require.NoError(t, a.RemovePeer("b"))
		require.ErrorIs(t, a.RemovePeer("b"), transport.ErrUnknownPeer)
		require.ErrorIs(t, a.Send("b", nil), transport.ErrUnknownPeer)
		require.Empty(t, a.Stats().Peers)
		refused := a.Stats().Refused.Sender
		time.Sleep(3 * second)
		require.Greater(t, a.Stats().Refused.Sender, refused, "b was cut off and is turned away")

		require.NoError(t, a.SetPeer("b", "b"))
		time.Sleep(3 * second)
		require.NoError(t, a.Send("b", []byte("and again")))
		require.NoError(t, b.Send("a", []byte("here too")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "and again"}}, drain(atB))
		require.Equal(t, []arrival{{"b", "here too"}}, drain(atA))
	})
}

// A peer that is gone without a word is noticed within the idle time.
func TestSilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		silent := n.listen("b")
		serve(t, a)
		conn := answered(t, silent, wire.Accepted)
		start := time.Now()
		_, err := io.Copy(io.Discard, conn) // It reads, but answers no ping.
		require.NoError(t, err)
		require.Equal(t, 2*second, time.Since(start))
		require.NoError(t, silent.Close())
	})
}

// An answer to a ping before the latest one is no measurement.
func TestLateAnswersMeasureNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		l := n.listen("b")
		serve(t, a)
		conn := answered(t, l, wire.Accepted)
		defer func() { _, _ = conn.Close(), l.Close() }()
		r := wire.NewReader(conn, 100)
		var late []byte
		for range 5 {
			kind, payload, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, wire.Ping, kind)
			if late != nil {
				time.Sleep(10 * ms)
				_, err = conn.Write(wire.Append(nil, wire.Pong, late))
				require.NoError(t, err)
			}
			late = bytes.Clone(payload)
		}
		synctest.Wait()
		require.Zero(t, peerStats(t, a, "b").RoundTrip)
		time.Sleep(90 * ms)
		_, err := conn.Write(wire.Append(nil, wire.Pong, late))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 100*ms, peerStats(t, a, "b").RoundTrip)
	})
}

// A refusal is an error that says why, and attempts stay damped.
func TestRefusalIsReportedToTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b")
		serve(t, a)
		serve(t, b)
		time.Sleep(time.Minute)
		ps := peerStats(t, a, "b")
		require.ErrorContains(t, ps.LastError, "unknown sender")
		require.Less(t, ps.Failures, uint64(130))
		require.Equal(t, ps.Failures, b.Stats().Refused.Sender)
	})
}

// slowConn delays what is read from it.
type slowConn struct {
	net.Conn
	delay time.Duration
}

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(c.delay)
	return n, err
}

func TestRoundTripEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, err := tcp.New(tcp.Config{
			Cluster: "test", Name: "a", Listener: n.listen("a"), Peers: map[string]string{"b": "b"}, Insecure: true,
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := n.dial(ctx, network, address)
				return slowConn{conn, 30 * ms}, err
			},
		})
		require.NoError(t, err)
		b := n.member(t, "b", "a")
		serve(t, a)
		serve(t, b)
		time.Sleep(10 * second)
		require.Equal(t, 30*ms, peerStats(t, a, "b").RoundTrip)
	})
}

func TestServeEndsWithItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		l := n.listen("a")
		a, err := tcp.New(tcp.Config{Cluster: "test", Name: "a", Listener: l, Insecure: true, Dial: n.dial})
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- a.Serve(t.Context(), func(string, []byte) {}) }()
		conn := n.connectToA(t)
		start := time.Now()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-served, net.ErrClosed)
		require.Zero(t, time.Since(start), "open connections do not hold it up")
		requireClosed(t, conn, 0)
	})
}

// A listener that fails is asked again after pauses of up to a second, and
// after a success the pauses begin anew with 5 ms.
func TestAcceptPausesBeginAnewAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		l := n.listen("a")
		fail := func(times int) {
			for range times {
				l.flaws <- errors.New("too many open files")
			}
		}
		// recovery is how long a connection waits to be accepted.
		recovery := func() time.Duration {
			start := time.Now()
			n.connectToA(t)
			return time.Since(start)
		}
		fail(20)
		a, err := tcp.New(tcp.Config{Cluster: "test", Name: "a", Listener: l, Insecure: true, Dial: n.dial})
		require.NoError(t, err)
		serve(t, a)
		require.Equal(t, 5*ms*(1<<8-1)+12*second, recovery(), "eight pauses that double, then twelve of a second")
		synctest.Wait()
		fail(1)
		synctest.Wait()
		require.Equal(t, 5*ms, recovery())
	})
}

// A peer that accepts and hangs up at once is not reached: connections that
// do not last make the pauses no shorter.
func TestAttemptsAtAPeerThatHangsUpAreDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		l := n.listen("b")
		defer func() { _ = l.Close() }()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if _, err := wire.ReadHello(conn); err == nil {
					_, _ = conn.Write(wire.Accepted.Append(nil))
				}
				_ = conn.Close()
			}
		}()
		serve(t, a)
		time.Sleep(time.Minute)
		attempts := n.attempts("b")
		require.Greater(t, len(attempts), 60)
		for i := 10; i < len(attempts); i++ {
			require.GreaterOrEqual(t, attempts[i].Sub(attempts[i-1]), second/2)
		}
	})
}
