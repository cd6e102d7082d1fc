package archtest

import (
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// goFiles returns the paths of the Go files of the repository and their base names.
func goFiles(sources []source) map[string]bool {
	files := map[string]bool{}
	for _, s := range sources {
		files[s.path], files[path.Base(s.path)] = true, true
	}
	return files
}

// fileComplaints checks that every Go file that a text names is there: with its
// folder, from the top or from dir, or by its name alone.
func fileComplaints(dir, text string, files map[string]bool) (gone []string) {
	for _, name := range regexp.MustCompile(`[\w./-]*\w\.go\b`).FindAllString(text, -1) {
		if !files[name] && !files[path.Join(dir, name)] {
			gone = append(gone, "names "+name+", which is not there")
		}
	}
	return gone
}

func TestNamedFiles(t *testing.T) {
	sources := repository(t)
	files := goFiles(sources)
	var complaints []string
	for _, s := range sources {
		for _, group := range s.syntax.Comments {
			for _, gone := range fileComplaints(s.dir(), group.Text(), files) {
				complaints = append(complaints, s.complain(group.Pos(), "%s", gone))
			}
		}
	}
	for _, file := range []string{
		".github/CONTRIBUTING.md", "raft/FORMAT.md", "raft/PROTOCOL.md", "scheduler/FORMAT.md", "scheduler/LOGS.md",
	} {
		text, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		for _, gone := range fileComplaints(path.Dir(file), string(text), files) {
			complaints = append(complaints, file+": "+gone)
		}
	}
	requireNone(t, complaints)
}

func TestNamedFileRules(t *testing.T) {
	files := goFiles([]source{parse(t, token.NewFileSet(), "a/here.go", "package a")})
	require.Empty(t, fileComplaints("a", "here.go, a/here.go and ./here.go, and in b the other one", files))
	require.Empty(t, fileComplaints("b", "here.go is somewhere; going.gone is no file", files))
	require.Equal(t, []string{"names b/here.go, which is not there", "names gone.go, which is not there"},
		fileComplaints("c", "b/here.go, gone.go", files))
}
