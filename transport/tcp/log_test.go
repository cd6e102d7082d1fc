package tcp_test

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/transport/internal/wire"
)

// A connection that comes, goes and comes again is a line each, however often it was
// tried and however much was sent; the end of Serve is none.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		var text bytes.Buffer
		a := n.logging(t, slog.New(slog.NewTextHandler(&text, nil)), "a", "b")
		take := func() []string {
			synctest.Wait()
			defer text.Reset()
			return regexp.MustCompile(`msg="[^"]*"|reason="[^"]*"`).FindAllString(text.String(), -1)
		}
		_, stop := serve(t, a)
		time.Sleep(10 * second)
		require.Equal(t, []string{`msg="transport: peer is out of reach"`}, take())
		for range 5 {
			require.NoError(t, a.Send("b", []byte("lost")))
			time.Sleep(second)
		}
		require.Equal(t, []string{`msg="transport: frames are dropped"`}, take())
		b := n.member(t, "b", "a")
		_, stopB := serve(t, b)
		time.Sleep(2 * second)
		require.Equal(t, []string{`msg="transport: peer connected"`, `msg="transport: frames are no longer dropped"`}, take())
		for range 1000 {
			require.NoError(t, a.Send("b", []byte("fine")))
			time.Sleep(second / 100)
		}
		require.Empty(t, take())
		stopB()
		time.Sleep(2 * second)
		require.Equal(t, []string{`msg="transport: peer lost"`}, take())
		for range 3 {
			conn, err := n.dial(t.Context(), "pipe", "a")
			require.NoError(t, err)
			_, err = conn.Write(wire.Hello{Cluster: "other", From: "b", To: "a"}.Append(nil))
			require.NoError(t, err)
			_, _ = wire.ReadReply(conn)
			_ = conn.Close()
		}
		require.Equal(t, []string{`msg="transport: connections are refused"`, `reason="another cluster"`}, take())
		pending, err := n.dial(t.Context(), "pipe", "a") // which has said nothing when Serve ends
		require.NoError(t, err)
		stop()
		require.Empty(t, strings.TrimSpace(text.String()))
		_ = pending.Close()
	})
}
