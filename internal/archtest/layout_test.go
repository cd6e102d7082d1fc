package archtest

import (
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// topLevel lists what may lie in the repository's top folder besides dot-files.
func topLevel() []string {
	return []string{
		"CHANGELOG.md", "LICENSE", "README.md", "go.mod", "go.sum",
		"examples", "internal", "placement", "quota", "raft", "reservation", "scheduler", "transport",
	}
}

// strays returns the names that do not belong in the top folder.
func strays(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, ".") || slices.Contains(topLevel(), name)
	})
}

// docComplaints checks that every library package is introduced by its doc.go
// and nowhere else, and that every program says somewhere what it does.
func docComplaints(sources []source) []string {
	documented := map[string][]string{} // folder to the files with a package comment
	name := map[string]string{}
	for _, s := range sources {
		if s.test() {
			continue
		}
		name[s.dir()] = s.syntax.Name.Name
		if s.syntax.Doc != nil {
			documented[s.dir()] = append(documented[s.dir()], path.Base(s.path))
		}
	}
	var complaints []string
	for dir := range name {
		files := documented[dir]
		switch {
		case len(files) == 0:
			complaints = append(complaints, dir+": no package comment")
		case len(files) > 1:
			complaints = append(complaints, dir+": package comments in "+strings.Join(files, " and "))
		case name[dir] != "main" && files[0] != "doc.go":
			complaints = append(complaints, dir+": the package comment is in "+files[0]+", not in doc.go")
		}
	}
	slices.Sort(complaints)
	return complaints
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	requireNone(t, strays(names))
}

func TestTopLevelRule(t *testing.T) {
	names := []string{".ci", ".golangci.yml", "README.md", "Makefile", "placement", "pkg", "go.mod", "tools.go"}
	require.Equal(t, []string{"Makefile", "pkg", "tools.go"}, strays(names))
}

func TestPackageComments(t *testing.T) {
	requireNone(t, docComplaints(repository(t)))
}

func TestPackageCommentRules(t *testing.T) {
	fset := token.NewFileSet()
	sources := []source{
		parse(t, fset, "bare/a.go", "package bare"),
		parse(t, fset, "bare/a_test.go", "// Package bare does not count here.\npackage bare"),
		parse(t, fset, "good/a.go", "//go:build linux\n\npackage good"),
		parse(t, fset, "good/doc.go", "// Package good is good.\npackage good"),
		parse(t, fset, "misplaced/a.go", "// Package misplaced is good.\npackage misplaced"),
		parse(t, fset, "program/main.go", "// Program is good.\npackage main"),
		parse(t, fset, "twice/a.go", "// Package twice is one thing.\npackage twice"),
		parse(t, fset, "twice/doc.go", "// Package twice is another.\npackage twice"),
	}
	require.Equal(t, []string{
		"bare: no package comment",
		"misplaced: the package comment is in a.go, not in doc.go",
		"twice: package comments in a.go and doc.go",
	}, docComplaints(sources))
}
