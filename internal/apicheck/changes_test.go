package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
)

// oneAPI returns an API of one package with that source.
func oneAPI(t *testing.T, source string) packageSet {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	require.NoError(t, err)
	p, err := new(types.Config).Check(modulePath+"/p", fset, []*ast.File{file}, nil)
	require.NoError(t, err)
	return packageSet{p.Path(): p}
}

func texts(changes []incompatibility) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}

func TestIncompatibleChangesAreNamedByIdentifier(t *testing.T) {
	before := oneAPI(t, `package p
		type T struct{ A int }
		func (*T) M() {}
		func F(int) {}
		func Kept() {}`)
	now := oneAPI(t, `package p
		type T struct{ A string }
		func F(int, int) {}
		func Kept() {}
		func New() {}`)
	changes := incompatible(before, now)
	require.Equal(t, []string{
		"`p.T.M`: removed",
		"`p.F`: changed from func(int) to func(int, int)",
		"`p.T.A`: changed from int to string",
	}, texts(changes))
	require.Equal(t, []string{"`p`: the package is gone"}, texts(incompatible(before, packageSet{})))
	require.Empty(t, incompatible(before, before))

	section := newestSection("# Changelog\n\n## 2\n\n- `p.F` takes two, `p.T.M` went\n\n## 1\n\n- `p.T.A`\n")
	require.Equal(t, []string{"`p.T.A`: changed from int to string"}, texts(unnamed(changes, section)))
	require.Len(t, changes, 3, "the list is not edited")
}

func TestBaselineKeepsTheAPI(t *testing.T) {
	source := `package p
		type T struct{ A int }
		func (*T) M() (map[string]T, error) { return nil, nil }`
	before := oneAPI(t, source)
	dir := t.TempDir()
	require.NoError(t, writeAPI(dir, before))
	kept, err := readAPI(dir)
	require.NoError(t, err)
	require.Empty(t, incompatible(before, kept))
	require.Empty(t, incompatible(kept, before))
	require.Len(t, incompatible(kept, oneAPI(t, `package p`)), 1)

	_, err = readAPI(t.TempDir())
	require.Error(t, err, "no baseline is not an empty one")
}

func TestPublicPackages(t *testing.T) {
	for path, want := range map[string]bool{
		modulePath + "/raft":                      true,
		modulePath + "/scheduler/boltjournal":     true,
		modulePath + "/internal/index":            false,
		modulePath + "/transport/internal/outbox": false,
		modulePath + "/examples/replay":           false,
		"fmt":                                     false,
	} {
		require.Equal(t, want, public(path), path)
	}
}
