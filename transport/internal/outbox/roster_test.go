package outbox_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/stretchr/testify/require"
)

func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRosterRunsEachPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := outbox.NewRoster(10, map[string]string{"a": "address of a"})
		running := map[string]string{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- r.Run(ctx, untilEnd, func(ctx context.Context, p *outbox.Peer) {
				running[p.Name] = p.Address()
				<-ctx.Done()
				delete(running, p.Name)
			})
		}()
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "address of a"}, running)
		require.NoError(t, r.Set("b", "address of b"))
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "address of a", "b": "address of b"}, running)
		require.NoError(t, r.Remove("a"))
		synctest.Wait()
		require.Equal(t, map[string]string{"b": "address of b"}, running)
		require.NoError(t, r.SendFlow("", "b", nil))
		cancel()
		require.NoError(t, <-ended, "the end of the context is no error")
		require.Empty(t, running)
		require.Equal(t, transport.Dropped{Lost: 1}, r.Stats()[0].Dropped)
		require.ErrorIs(t, r.Run(ctx, untilEnd, nil), transport.ErrClosed)
		require.ErrorIs(t, r.Set("c", ""), transport.ErrClosed)
	})
}

func TestRosterEndsWithItsReceiver(t *testing.T) {
	cause := errors.New("cause")
	r := outbox.NewRoster(10, map[string]string{"a": ""})
	stopped := false
	err := r.Run(t.Context(),
		func(context.Context) error { return cause },
		func(ctx context.Context, _ *outbox.Peer) {
			<-ctx.Done()
			stopped = true
		})
	require.ErrorIs(t, err, cause)
	require.True(t, stopped)
}

func TestPauseEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := outbox.NewRoster(10, map[string]string{"a": ""})
		p, start := r.Peer("a"), time.Now()
		p.RetryHint.Give()
		p.Pause(t.Context(), outbox.NewBackoff("self", "a"))
		require.NoError(t, r.Set("a", "moved"))
		p.Pause(t.Context(), outbox.NewBackoff("self", "a"))
		require.Zero(t, time.Since(start))
		require.NoError(t, r.Set("a", "moved again"))
		require.Equal(t, "moved again", p.Address(), "and so there is nothing new to know")
		start = time.Now()
		p.Pause(t.Context(), outbox.NewBackoff("self", "a"))
		require.Positive(t, time.Since(start))
		require.LessOrEqual(t, time.Since(start), outbox.BackoffFirst)
	})
}

func TestRetryHintHelpsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := outbox.NewRoster(10, map[string]string{"a": ""}).Peer("a")
		b := outbox.NewBackoff("self", "a")
		hurries := func() bool {
			start := time.Now()
			p.RetryHint.Give()
			p.Pause(t.Context(), b)
			return time.Since(start) == 0
		}
		require.True(t, hurries())
		require.False(t, hurries())
		require.False(t, hurries())
		b.Reset()
		require.True(t, hurries())
	})
}
