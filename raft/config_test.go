package raft

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	require.Equal(t, 150*ms, c.ElectionTimeoutMin)
	require.Equal(t, 300*ms, c.ElectionTimeoutMax)
	require.Equal(t, 50*ms, c.HeartbeatInterval)
	require.Equal(t, 3, c.MaxRetries)
	require.Equal(t, 5_000, c.MaxClockDriftPPM)
	require.Equal(t, 300*ms, c.ReleaseTimeout)

	c = Config{ElectionTimeoutMin: 900 * ms}.withDefaults()
	require.Equal(t, 1800*ms, c.ElectionTimeoutMax)
	require.Equal(t, 300*ms, c.HeartbeatInterval)
}

func TestConfigMistakes(t *testing.T) {
	tests := []struct {
		name string
		bend func(c *Config)
		want error
		text string
	}{
		{"none", func(*Config) {}, nil, ""},
		{"no ID", func(c *Config) { c.ID = "" }, ErrConfig, `ID ""`},
		{"long ID", func(c *Config) { c.ID = strings.Repeat("x", 65) }, ErrConfig, "1 to 64"},
		{"no cluster", func(c *Config) { c.Cluster = "" }, ErrConfig, "Cluster"},
		{"empty window", func(c *Config) { c.ElectionTimeoutMax = c.ElectionTimeoutMin }, ErrConfig, "empty"},
		{"negative timeout", func(c *Config) { c.ElectionTimeoutMin = -1 }, ErrConfig, "election timeout"},
		{"endless timeout", func(c *Config) { c.ElectionTimeoutMax = MaxPromise + 1 }, ErrConfig, "1h0m0s"},
		{"lease of one heartbeat", func(c *Config) { c.HeartbeatInterval = 70 * ms }, ErrConfig, "shorter than two"},
		{"endless heartbeat", func(c *Config) { c.HeartbeatInterval = math.MaxInt64 }, ErrConfig, "shorter than two"},
		{"negative heartbeat", func(c *Config) { c.HeartbeatInterval = -1 }, ErrConfig, "heartbeat"},
		{"tiny heartbeat", func(c *Config) { c.HeartbeatInterval = time.Microsecond }, ErrConfig, "more than 1024"},
		{"negative drift", func(c *Config) { c.MaxClockDriftPPM = -1 }, ErrConfig, "drift"},
		{"great drift", func(c *Config) { c.MaxClockDriftPPM = 100_001 }, ErrConfig, "drift"},
		{"retries", func(c *Config) { c.MaxRetries = -2 }, ErrConfig, "retries"},
		{"release", func(c *Config) { c.ReleaseTimeout = -1 }, ErrConfig, "release"},
		{"bootstrap without oneself", func(c *Config) { c.Start = Bootstrap(0, voters(3)[1:]...) }, ErrConfig, `"A"`},
		{"bootstrap without a voter", func(c *Config) { c.Start = Bootstrap(0, Member{ID: "A"}) }, ErrConfig, "voter"},
		{"bootstrap of witnesses", func(c *Config) {
			c.Start = Bootstrap(0, Member{ID: "A", Voter: true, Witness: true}, Member{ID: "B"})
		}, ErrConfig, "all voters are witnesses"},
		{"bootstrap with a witness without a vote", func(c *Config) {
			c.Start = Bootstrap(0, append(voters(2), Member{ID: "C", Witness: true})...)
		}, ErrConfig, `the witness "C" is not a voter`},
		{"bootstrap with a witness", func(c *Config) {
			c.Start = Bootstrap(0, append(voters(2), Member{ID: "C", Voter: true, Witness: true})...)
		}, nil, ""},
		{"bootstrap twice", func(c *Config) { c.Start = Bootstrap(0, voters(1)[0], voters(1)[0]) }, ErrConfig, "twice"},
		{"bootstrap with a high priority", func(c *Config) {
			c.Start = Bootstrap(0, Member{ID: "A", Voter: true, Priority: 1})
		}, ErrConfig, "priority"},
		{"bootstrap at the last term", func(c *Config) { c.Start = Bootstrap(math.MaxUint64-1, voters(1)...) }, ErrTermLimit, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig("A", voters(3)...).withDefaults()
			tt.bend(&cfg)
			err := cfg.validate()
			require.ErrorIs(t, err, tt.want)
			if tt.want != nil {
				require.ErrorContains(t, err, tt.text)
			}
			_, again := StartState(cfg, StoredState{}, testStore("A"))
			require.Equal(t, err == nil, again == nil)
		})
	}
}

func TestConfigMistakesAreReportedAtOnce(t *testing.T) {
	err := Config{MaxRetries: -2, MaxClockDriftPPM: -1}.withDefaults().validate()
	for _, what := range []string{"ID", "Cluster", "retries", "drift"} {
		require.ErrorContains(t, err, what)
	}
}

func TestNewCoreRefuses(t *testing.T) {
	cfg := testConfig("A", voters(3)...)
	state, err := StartState(cfg, StoredState{}, testStore("A"))
	require.NoError(t, err)
	_, err = NewCore(cfg, state, 1, 0)
	require.ErrorContains(t, err, "Rand")
	cfg.Rand = rand.NewPCG(1, 1)
	_, err = NewCore(cfg, state, 1, 0)
	require.NoError(t, err)
	for _, bend := range []func(s *HardState){
		func(s *HardState) { s.Node = "B" },
		func(s *HardState) { s.Cluster = "other" },
		func(s *HardState) { s.StoreID = StoreID{} },
		func(s *HardState) { s.LongestPromise = -1 },
		func(s *HardState) { s.Configuration.Members = nil },
	} {
		bent := state.Clone()
		bend(&bent)
		_, err = NewCore(cfg, bent, 1, 0)
		require.ErrorIs(t, err, ErrConfig)
	}
}

func TestConfigurationValues(t *testing.T) {
	c, err := NewConfiguration(Member{ID: "b", Voter: true}, Member{ID: "a"})
	require.NoError(t, err)
	require.Equal(t, "a", c.Members[0].ID, "sorted")
	same, err := NewConfiguration(Member{ID: "a"}, Member{ID: "b", Voter: true})
	require.NoError(t, err)
	require.True(t, c.Equal(same))
	require.Equal(t, c.Digest(), same.Digest())
	require.Equal(t, 1, c.Voters())
	_, found := c.Member("c")
	require.False(t, found)
	clone := c.Clone()
	clone.Members[0].Data = "x"
	require.False(t, c.Equal(clone))
	require.NotEqual(t, c.Digest(), clone.Digest())
	require.Equal(t, "3.4", ConfigurationID{3, 4}.String())
	require.Negative(t, ConfigurationID{1, 9}.Compare(ConfigurationID{2, 1}))
	require.True(t, Configuration{}.IsZero())

	b, err := Configuration{}.AppendBinary(nil)
	require.NoError(t, err)
	var none Configuration
	require.NoError(t, none.UnmarshalBinary(b))
	require.True(t, none.IsZero())
	require.ErrorIs(t, none.UnmarshalBinary(append(b, 0)), ErrMalformed)
	require.ErrorIs(t, none.UnmarshalBinary(make([]byte, MaxConfigurationSize+1)), ErrMalformed)
	b[7] = 1 // A term without a version.
	require.ErrorIs(t, none.UnmarshalBinary(b), ErrMalformed)
}
