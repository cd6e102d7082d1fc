package placement_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// fieldsOf lists the field of every InvalidError in err, in order.
func fieldsOf(err error) []string {
	var all []string
	for _, part := range parts(err) {
		all = append(all, part.Field)
	}
	return all
}

// parts lists every InvalidError in err, in order.
func parts(err error) []*placement.InvalidError {
	var all []*placement.InvalidError
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // Walks the tree of joined errors node by node.
		case nil:
		case *placement.InvalidError:
			all = append(all, e)
		case interface{ Unwrap() []error }:
			for _, part := range e.Unwrap() {
				walk(part)
			}
		default:
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return all
}

// requireFields checks that err reports mistakes in exactly these fields, in
// any order, and is nil for none.
func requireFields(t *testing.T, err error, want ...string) {
	t.Helper()
	if len(want) == 0 {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ElementsMatch(t, want, fieldsOf(err), "%v", err)
}

func dimensionsOf(all ...placement.Resources) []placement.ResourceName {
	names := make(map[placement.ResourceName]bool)
	for _, r := range all {
		for name := range r.All() {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// genAmount yields amounts of every size, round ones and edges included.
func genAmount() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64Min(0),
		rapid.Int64Range(0, 20),
		rapid.Map(rapid.Int64Range(0, 1<<20), func(n int64) int64 { return n * 1000 }),
		rapid.Map(rapid.Int64Range(0, 1<<20), func(n int64) int64 { return n * placement.MiB }),
	)
}

func genResourceName() *rapid.Generator[placement.ResourceName] {
	return rapid.SampledFrom([]placement.ResourceName{
		placement.NameCPU, placement.NameMemory, placement.NameDisk,
		placement.NameNetwork, placement.NameGPU, "licence", "example.com/fpga",
	})
}

// genResources yields valid amounts, with an explicit zero now and then.
func genResources() *rapid.Generator[placement.Resources] {
	return rapid.Custom(func(t *rapid.T) placement.Resources {
		var r placement.Resources
		r.CPU = genAmount().Draw(t, "cpu")
		r.Memory = genAmount().Draw(t, "memory")
		r.Disk = genAmount().Draw(t, "disk")
		r.Network = genAmount().Draw(t, "network")
		r.GPU = genAmount().Draw(t, "gpu")
		r.Custom = rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "licence", "example.com/fpga"}), genAmount(), 0, 3).Draw(t, "custom")
		return r
	})
}

// genWord yields words that need no quotes, words that do, and keywords.
func genWord() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "region", "and", "or", "not", "in", "exists", "*", "a:b", "a@b", "example.com/x", "5", "-5", "v1.4"}),
		rapid.StringMatching(`[a-zA-Z0-9._/:@+-]{0,6}`),
		rapid.String(),
	)
}
