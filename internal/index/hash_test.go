package index

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestRulesHashApart says that rule sets share a bucket by chance alone, and
// that looking them up allocates nothing.
func TestRulesHashApart(t *testing.T) {
	constraints := []placement.Constraint{
		placement.Equal("k", "a"), placement.Equal("k", "b"), placement.NotEqual("k", "a"),
		placement.In("k", "a", "b"), placement.In("k", "a", "c"), placement.NotIn("k", "a", "b"),
		placement.Greater("k", 1), placement.Greater("k", 2), placement.Less("k", 1),
		placement.Version("k", ">= 1"), placement.Version("k", ">= 2"),
		placement.Matches("k", "a"), placement.Matches("k", "b"),
		placement.Exists("k"), placement.NotExists("k"),
		placement.And(placement.Equal("k", "a"), placement.Exists("l")),
		placement.And(placement.Equal("k", "b"), placement.Exists("l")),
		placement.Or(placement.Equal("k", "a"), placement.Exists("l")),
		placement.Not(placement.In("k", "a", "b")),
	}
	x := New(Config{})
	room := make([]byte, 0, 1024)
	hashes := make(map[hash]placement.Constraint)
	for _, c := range constraints {
		r := placement.Request{ID: "r", Preferences: placement.Preferences{}.Require(c)}
		h := hashRules(&r, room)
		require.NotContains(t, hashes, h, "%v and %v", c, hashes[h])
		hashes[h] = c
		x.Class(&r)
		require.Zero(t, testing.AllocsPerRun(10, func() { x.Class(&r) }), c.String())
	}
}
