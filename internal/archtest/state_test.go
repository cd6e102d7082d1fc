package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stateComplaints finds package-level variables and init functions in shipped
// code. Allowed are sentinel errors, blank assertions and embedded files.
func stateComplaints(sources []source) []string {
	var complaints []string
	for _, s := range sources {
		if s.test() {
			continue
		}
		for _, decl := range s.syntax.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				complaints = append(complaints, s.complain(f.Pos(), "init function"))
			}
			for _, name := range stateful(decl) {
				complaints = append(complaints, s.complain(name.Pos(), "package-level variable %s", name.Name))
			}
		}
	}
	slices.Sort(complaints)
	return complaints
}

// stateful returns the variables that decl declares and that could be written.
func stateful(decl ast.Decl) []*ast.Ident {
	vars, ok := decl.(*ast.GenDecl)
	if !ok || vars.Tok != token.VAR {
		return nil
	}
	var names []*ast.Ident
	for _, spec := range vars.Specs {
		spec := spec.(*ast.ValueSpec)
		if embedded(vars.Doc) || embedded(spec.Doc) {
			continue
		}
		for i, name := range spec.Names {
			sentinel := i < len(spec.Values) && newError(spec.Values[i]) && strings.HasPrefix(strings.ToLower(name.Name), "err")
			if name.Name != "_" && !sentinel {
				names = append(names, name)
			}
		}
	}
	return names
}

// embedded reports whether a declaration is filled by the compiler from a file.
func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// newError reports whether value is a call of errors.New or fmt.Errorf, or the
// sentinel of another package.
func newError(value ast.Expr) bool {
	if shared, ok := value.(*ast.SelectorExpr); ok {
		return strings.HasPrefix(shared.Sel.Name, "Err")
	}
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := function.X.(*ast.Ident)
	return ok && (pkg.Name == "errors" && function.Sel.Name == "New" || pkg.Name == "fmt" && function.Sel.Name == "Errorf")
}

func TestNoMutableState(t *testing.T) {
	requireNone(t, stateComplaints(repository(t)))
}

func TestStateRules(t *testing.T) {
	tests := []struct {
		name string
		file string
		text string
		want []string
	}{
		{"constants, types, functions", "raft/a.go", "const a = 1\ntype b int\nfunc c() { var d int; _ = d }\n", nil},
		{"sentinel errors", "raft/a.go", "var (\n\tErrA = errors.New(`a`)\n\terrB = fmt.Errorf(`b: %w`, ErrA)\n)\n", nil},
		{"interface assertion", "raft/a.go", "var _ I = (*T)(nil)\n", nil},
		{"embedded file", "raft/a.go", "//go:embed a.txt\nvar text string\n", nil},
		{"a method named init", "raft/a.go", "func (t T) init() {}\n", nil},
		{"tests", "raft/a_test.go", "var update = flag.Bool(`update`, false, ``)\nfunc init() {}", nil},
		{"counter", "raft/a.go", "var n int\n", []string{"raft/a.go:2: package-level variable n"}},
		{"several", "raft/a.go", "var a, _, b = 1, 2, 3\n", []string{
			"raft/a.go:2: package-level variable a", "raft/a.go:2: package-level variable b",
		}},
		{"an error by another name", "raft/a.go", "var Stopped = errors.New(`x`)\n", []string{"raft/a.go:2: package-level variable Stopped"}},
		{"an error to be filled in", "raft/a.go", "var errLast error\n", []string{"raft/a.go:2: package-level variable errLast"}},
		{"a table", "raft/a.go", "var castagnoli = crc32.MakeTable(1)\n", []string{"raft/a.go:2: package-level variable castagnoli"}},
		{"init", "raft/a.go", "func init() {}\n", []string{"raft/a.go:2: init function"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, token.NewFileSet(), tt.file, "package p\n"+tt.text)
			require.Equal(t, tt.want, stateComplaints([]source{s}))
		})
	}
}
