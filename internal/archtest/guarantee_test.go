package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testNames returns the tests, benchmarks, fuzz targets and examples of the
// sources as "FOLDER NAME".
func testNames(sources []source) map[string]bool {
	names := map[string]bool{}
	for _, s := range sources {
		for _, decl := range s.syntax.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.test() && f.Recv == nil {
				names[s.dir()+" "+f.Name.Name] = true
			}
		}
	}
	return names
}

// guaranteeComplaints checks that every test that a text names, as in
// "`TestA`, `TestB` in raft", stands in the folder that it names next on the
// same line.
func guaranteeComplaints(file, text string, tests map[string]bool) []string {
	name := regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z_]\\w*)`")
	folder := regexp.MustCompile(` in ([a-z][a-z0-9/]*)`)
	var complaints []string
	for i, line := range strings.Split(text, "\n") {
		for _, at := range name.FindAllStringSubmatchIndex(line, -1) {
			test, rest := line[at[2]:at[3]], line[at[1]:]
			in := folder.FindStringSubmatch(rest)
			switch {
			case in == nil:
				complaints = append(complaints, fmt.Sprintf("%s:%d: does not say where %s is", file, i+1, test))
			case !tests[in[1]+" "+test]:
				complaints = append(complaints, fmt.Sprintf("%s:%d: there is no %s in %s", file, i+1, test, in[1]))
			}
		}
	}
	return complaints
}

func TestGuarantees(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	tests := testNames(repository(t))
	require.NotEmpty(t, guaranteeComplaints("README.md", string(text), nil), "the README names no test")
	requireNone(t, guaranteeComplaints("README.md", string(text), tests))
}

func TestGuaranteeRules(t *testing.T) {
	fset := token.NewFileSet()
	tests := testNames([]source{
		parse(t, fset, "raft/a_test.go", "package raft\nfunc TestA() {}\nfunc (x X) TestMethod() {}"),
		parse(t, fset, "raft/deep/b_test.go", "package deep\nfunc FuzzB() {}"),
		parse(t, fset, "raft/c.go", "package raft\nfunc TestShipped() {}"),
	})
	text := strings.Join([]string{
		"| all is well | `TestA` in raft, `FuzzB` in raft/deep, and others |",
		"| one folder for two | `TestA`, `TestA` in raft |",
		"| renamed | `TestOld` in raft |",
		"| moved | `TestA` in raft/deep |",
		"| no test | `TestMethod` and `TestShipped` in raft |",
		"| nowhere | `TestA` |",
		"`Testing` and `raft.TestA` are no names of tests",
	}, "\n")
	require.Equal(t, []string{
		"R.md:3: there is no TestOld in raft",
		"R.md:4: there is no TestA in raft/deep",
		"R.md:5: there is no TestMethod in raft",
		"R.md:5: there is no TestShipped in raft",
		"R.md:6: does not say where TestA is",
	}, guaranteeComplaints("R.md", text, tests))
}
