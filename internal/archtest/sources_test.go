package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	// modulePath is the import path of the root module.
	modulePath = "github.com/rads-project/constellation"
	// root is the repository's top folder, seen from this package's tests.
	root = "../.."
)

// source is one parsed Go file of the repository.
type source struct {
	path   string // from the top of the repository, with slashes
	module string // the folder of its go.mod, "." for the root module
	fset   *token.FileSet
	syntax *ast.File
}

// repository parses every Go file below the top folder, nested modules
// included, in the order of their paths.
func repository(t *testing.T) []source {
	t.Helper()
	var sources []source
	fset := token.NewFileSet()
	modules := map[string]string{} // folder to the folder of its go.mod
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel != "." && ignoredDir(entry.Name()) {
				return filepath.SkipDir
			}
			modules[rel] = modules[path.Dir(rel)]
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				modules[rel] = rel
			}
			return nil
		}
		if path.Ext(rel) != ".go" {
			return nil
		}
		syntax, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		sources = append(sources, source{rel, modules[path.Dir(rel)], fset, syntax})
		return err
	})
	require.NoError(t, err)
	return sources
}

// ignoredDir reports whether the go command ignores folders of that name.
func ignoredDir(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor"
}

// parse makes a source of the root module from text.
func parse(t *testing.T, fset *token.FileSet, file, text string) source {
	t.Helper()
	syntax, err := parser.ParseFile(fset, file, text, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	return source{file, ".", fset, syntax}
}

// dir returns the folder of s: its package's import path below [modulePath].
func (s source) dir() string { return path.Dir(s.path) }

// test reports whether s is compiled for tests only.
func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// imports yields the path of each import with its place in the file.
func (s source) imports(yield func(string, token.Pos) bool) {
	for _, spec := range s.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepts string literals only
		}
		if !yield(imported, spec.Pos()) {
			return
		}
	}
}

// complain formats a complaint about the place pos in s.
func (s source) complain(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.fset.Position(pos).Line) + fmt.Sprintf(format, args...)
}

// requireNone fails the test with one complaint a line.
func requireNone(t *testing.T, complaints []string) {
	t.Helper()
	require.Empty(t, strings.Join(complaints, "\n"))
}

// within reports whether the slash-separated p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}
