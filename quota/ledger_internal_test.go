package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestFirstBurstMeanwhile: a call that saw no limit with a burst, and then
// finds one under the lock, still knows the time.
func TestFirstBurstMeanwhile(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := New(Config{Now: func() time.Time { return now }, Specs: []Spec{
		{Namespace: "ns", Limits: map[placement.ResourceName]Limit{placement.NameInstances: {Soft: 1, BurstPercent: 200}}},
	}})
	require.NoError(t, err)
	l.timed.Store(false) // as it was before that spec
	_, err = l.Charge("ns", "a", Amounts{Instances: 2})
	require.NoError(t, err)
	require.Equal(t, now, l.Usage("ns")[0].Since)
}
