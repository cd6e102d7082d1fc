package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

func TestItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out, options{headless: 14 * time.Second, node: 400 * time.Millisecond, member: 2 * time.Second, log: slog.New(slog.DiscardHandler)}))
		require.Regexp(t, `^[1-9]\d+ placed, \d+ refused, \d+ released, \d+ found no leader; [1-9]\d* nodes were lost; `+
			`[12] leaders have died, [12] were cut off; 1 members have lost their disk, 1 came and went\n$`, out.String())
	})
}

// The top leads to the page of whoever leads, which is there with all of its parts.
func TestThePageOfTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		c, err := newCluster(slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		defer c.running.Wait()
		defer end()
		get := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
			return w
		}
		require.Equal(t, http.StatusServiceUnavailable, get("/").Code)
		for _, m := range c.members {
			require.NoError(t, c.start(ctx, m, raft.Bootstrap(0, c.members...)))
		}
		c.running.Go(func() { c.work(ctx) })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		to := get("/")
		require.Equal(t, http.StatusFound, to.Code)
		page := get(to.Header().Get("Location"))
		require.Equal(t, http.StatusOK, page.Code)
		for _, text := range []string{"node-60", "launch", "research", "wide-0", "leader, this one", "3 of 3"} {
			require.Contains(t, page.Body.String(), text)
		}
	})
}
