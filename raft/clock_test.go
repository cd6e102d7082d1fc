package raft

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A jump of the wall clock has no effect, because nothing reads it.
// Only clock.go calls time.Now, and uses its monotonic reading alone.
func TestNobodyReadsTheWallClock(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	readers := make(map[string]int)
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && (s.Sel.Name == "Now" || s.Sel.Name == "Until") {
					readers[name]++
				}
			}
			return true
		})
	}
	require.Equal(t, map[string]int{"clock.go": 1}, readers)
}
