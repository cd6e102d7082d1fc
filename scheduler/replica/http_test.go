package replica_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// serving has replicas that answer a write with their token.
func serving(t *testing.T, edit func(id string, cfg *replica.Config)) (*replicas, network) {
	t.Helper()
	hosts := make(network)
	s := start(t, func(id string, cfg *replica.Config) {
		cfg.Transport = hosts
		if edit != nil {
			edit(id, cfg)
		}
	})
	for id, r := range s.all {
		hosts[id] = r.Forward(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, _ = fmt.Fprintf(w, "%s under %d: %s", id, replica.SchedulerFrom(req.Context()).Token(), req.URL.RequestURI())
		}))
	}
	return s, hosts
}

func TestForwardServesHereOrAtTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := serving(t, nil)
		settle()
		for _, id := range []string{"a", "b"} {
			got := get(t, hosts[id], "/v1/x?y=1")
			require.Equal(t, http.StatusServiceUnavailable, got.Code, "nobody leads")
			require.Equal(t, "1", got.Header().Get("Retry-After"))
		}
		s.elect("b")
		settle()
		for _, id := range []string{"a", "b", "c"} {
			got := get(t, hosts[id], "/v1/x?y=1")
			require.Equal(t, "b under 1: /v1/x?y=1", got.Body.String(), id)
		}
	})
}

// Two replicas that take each other for the leader do not send a request around.
func TestForwardedRequestsAreNotForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hosts := serving(t, func(id string, cfg *replica.Config) {
			cfg.Leader = func() (string, bool) { return map[string]string{"a": "http://b", "b": "http://a"}[id], true }
		})
		settle()
		got := get(t, hosts["a"], "/v1/x")
		require.Equal(t, http.StatusServiceUnavailable, got.Code)
		require.Equal(t, "1", got.Header().Get("Retry-After"))
	})
}

func TestForwardToALeaderThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := serving(t, nil)
		s.elect("b")
		settle()
		hosts["b"] = http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }) // is paused
		start := time.Now()
		time.AfterFunc(time.Second, func() { s.elect("c") })
		got := get(t, hosts["a"], "/v1/x")
		require.Equal(t, http.StatusBadGateway, got.Code)
		require.Equal(t, "1", got.Header().Get("Retry-After"))
		require.Less(t, time.Since(start), 2*time.Second, "its successor ends the wait")
		settle() // c may just be elected
		require.Equal(t, "c under 2: /v1/x", get(t, hosts["a"], "/v1/x").Body.String())
		delete(hosts, "c") // is dead
		require.Equal(t, http.StatusBadGateway, get(t, hosts["a"], "/v1/x").Code)
	})
}

func TestForwardByRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := serving(t, func(_ string, cfg *replica.Config) { cfg.Redirect = true })
		s.elect("b")
		settle()
		got := get(t, hosts["a"], "/v1/x?y=1")
		require.Equal(t, http.StatusTemporaryRedirect, got.Code)
		require.Equal(t, "http://b/v1/x?y=1", got.Header().Get("Location"))
	})
}

func TestStatusIsGoodOnlyWhereItCanBeServed(t *testing.T) {
	type answers struct{ write, lead, read bool }
	synctest.Test(t, func(t *testing.T) {
		journal := &unread{wait: make(chan error)}
		s := start(t, func(id string, cfg *replica.Config) {
			if id == "c" {
				journal.Journal, cfg.Journal = cfg.Journal, journal // is never read
			}
		})
		statuses := func() map[string]answers {
			got := make(map[string]answers)
			for id, r := range s.all {
				ok := func(purpose string) bool {
					w := get(t, r.Status(10*time.Second), "/health?for="+purpose)
					var health replica.Health
					require.NoError(t, json.NewDecoder(w.Body).Decode(&health))
					require.Equal(t, w.Code == http.StatusOK, health.Error == "")
					require.Equal(t, w.Code == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
					return w.Code == http.StatusOK
				}
				require.Equal(t, ok("write"), ok(""))
				got[id] = answers{ok("write"), ok("lead"), ok("read")}
			}
			return got
		}
		settle()
		require.Equal(t, map[string]answers{"a": {read: true}, "b": {read: true}, "c": {}}, statuses(), "nobody leads")
		s.elect("a")
		settle()
		require.Equal(t, map[string]answers{
			"a": {write: true, lead: true, read: true}, "b": {write: true, read: true}, "c": {write: true},
		}, statuses())
		s.set(func() { s.paused["a"] = true; s.leader = "" })
		require.NoError(t, s.journal.MemoryJournal.Acquire(t.Context(), 7))
		_ = s.leads(t, "a").AddNode(t.Context(), placementNode("n1"))
		_, leads := s.all["a"].Leader()
		require.False(t, leads)
		settle()
		require.Equal(t, map[string]answers{"a": {read: true}, "b": {read: true}, "c": {}}, statuses(), "a was deposed and has read anew")
	})
}

func TestHealthTellsHowOldTheViewIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now time.Time
		r, err := replica.New(replica.Config{
			Elector: member{newElection(), "a"}, Journal: new(scheduler.MemoryJournal),
			Scheduler: scheduler.Config{Now: func() time.Time { return now }},
		})
		require.NoError(t, err)
		now = time.Now()
		go func() { _ = r.Run(t.Context()) }()
		settle()
		require.Equal(t, http.StatusOK, get(t, r.Status(time.Minute), "/?for=read").Code)
		now = now.Add(2 * time.Minute)
		got := get(t, r.Status(time.Minute), "/?for=read")
		require.Equal(t, http.StatusServiceUnavailable, got.Code)
		var health replica.Health
		require.NoError(t, json.NewDecoder(got.Body).Decode(&health))
		require.Equal(t, "follower", health.Role)
		require.GreaterOrEqual(t, health.AgeMS, int64(120_000))
	})
}

// The leader sees from where a request comes that was passed on.
func TestForwardTellsWhereARequestComesFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := serving(t, nil)
		s.elect("b")
		settle()
		var got http.Header
		hosts["b"] = http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req.Header })
		require.Equal(t, http.StatusOK, get(t, hosts["a"], "/v1/x").Code)
		require.Equal(t, "192.0.2.1", got.Get("X-Forwarded-For"))
		require.Equal(t, "example.com", got.Get("X-Forwarded-Host"))
		require.Equal(t, "1", got.Get(replica.ForwardedHeader))
	})
}

func TestForwardToAnAddressThatIsNoURL(t *testing.T) {
	for _, address := range []string{"10.0.0.2", "://", ""} {
		synctest.Test(t, func(t *testing.T) {
			_, hosts := serving(t, func(_ string, cfg *replica.Config) {
				cfg.Leader = func() (string, bool) { return address, true }
			})
			settle()
			require.Equal(t, http.StatusServiceUnavailable, get(t, hosts["a"], "/v1/x").Code)
		})
	}
}
