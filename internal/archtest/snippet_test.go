package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// snippet is Go code in a package comment: a program, a function, or statements.
// But in a program, names that it does not declare are the reader's, and … or a line
// that begins with it is what the snippet leaves out.
type snippet struct {
	path string // of the file whose comment it is in
	code string
}

// snippets returns the Go code in the package comments of the root module.
func snippets(sources []source) []snippet {
	isGo := regexp.MustCompile(`(?m):= |^(package|func|var) `)
	var found []snippet
	for _, s := range sources {
		if s.module != "." || s.test() || s.syntax.Doc == nil {
			continue
		}
		for _, block := range new(comment.Parser).Parse(s.syntax.Doc.Text()).Content {
			code, ok := block.(*comment.Code)
			if !ok {
				continue
			}
			parts := []string{code.Text}
			if !strings.HasPrefix(code.Text, packageMain) {
				parts = strings.Split(code.Text, "\n\n") // A figure may stand before the code.
			}
			for _, part := range parts {
				if isGo.MatchString(part) {
					found = append(found, snippet{s.path, part})
				}
			}
		}
	}
	return found
}

const packageMain = "package main\n"

func (s snippet) program() bool { return strings.HasPrefix(s.code, packageMain) }

// file returns a snippet that is no program as a file, which imports those of the
// known packages that it names.
func (s snippet) file(known map[string]string) (string, error) {
	body := regexp.MustCompile(`(?m)^\s*….*$|…`).ReplaceAllString(s.code, "")
	if !strings.HasPrefix(body, "func ") {
		body = "func _() (_ error) {\n" + body + "\nreturn nil\n}\n"
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	imports := map[string]bool{}
	ast.Inspect(syntax, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok && known[of.Name] != "" {
				imports["import "+strconv.Quote(known[of.Name])+"\n"] = true
			}
		}
		return true
	})
	lines := []string{"package p\n"}
	for line := range imports {
		lines = append(lines, line)
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "") + body, nil
}

// snippetComplaints checks the types of snippets that are no programs; exported has
// the packages that they may name in compiled form.
func snippetComplaints(t *testing.T, found []snippet, known, exported map[string]string) []string {
	t.Helper()
	var complaints []string
	foreign := regexp.MustCompile(`^undefined: \w+$`)
	for _, s := range found {
		text, err := s.file(known)
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), " (and ")
			complaints = append(complaints, s.path+": "+first)
			continue
		}
		file := parse(t, token.NewFileSet(), s.path, text)
		config := types.Config{Importer: importerOf(file.fset, exported), Error: func(err error) {
			var fault types.Error
			reader := errors.As(err, &fault) && (fault.Soft || foreign.MatchString(fault.Msg))
			if !reader {
				complaints = append(complaints, fmt.Sprintf("%s: %s", s.path, fault.Msg))
			}
		}}
		_, _ = config.Check("p", file.fset, []*ast.File{file.syntax}, nil) // Error has been told of everything.
	}
	return complaints
}

// packagesByName returns the import paths of the packages of the root module, and of
// those of the standard library that snippets name.
func packagesByName(sources []source) map[string]string {
	known := map[string]string{}
	for _, name := range []string{"context", "database/sql", "errors", "fmt", "log", "net", "net/http", "testing", "testing/synctest", "time"} {
		known[path.Base(name)] = name
	}
	for _, s := range sources {
		if s.module == "." && !s.test() {
			known[s.syntax.Name.Name] = modulePath + "/" + s.dir()
		}
	}
	delete(known, "main")
	return known
}

func TestSnippets(t *testing.T) {
	sources := repository(t)
	found := snippets(sources)
	require.Greater(t, len(found), 10)
	known := packagesByName(sources)
	exported := exports(t, slices.Sorted(maps.Values(known))...)
	found = slices.DeleteFunc(found, snippet.program)
	requireNone(t, snippetComplaints(t, found, known, exported))
}

// TestProgramsOfPackageComments runs them.
func TestProgramsOfPackageComments(t *testing.T) {
	printed := map[string]string{}
	for _, s := range snippets(repository(t)) {
		if s.program() {
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(s.code), 0o600))
			printed[s.path] = strings.Join(goCommand(t, "run", file), "\n")
		}
	}
	require.Equal(t, map[string]string{
		"placement/doc.go": "true\ntrue",
		"scheduler/doc.go": "start web-1 on n1",
	}, printed)
}

func TestSnippetRules(t *testing.T) {
	const prose = "// Package a does a.\n//\n//\tEqual(\"disk\", \"ssd\")   disk = ssd\n//\n// So:\n//\n"
	tests := []struct {
		name string
		code []string
		want []string
	}{
		{"no code", nil, nil},
		{"statements", []string{
			`err := errors.Join(first, …)`, `if errors.Is(err, ErrOfMine) {`, `	… say so …`, `}`, `// … and so on`, `unused := work(ctx)`,
		}, nil},
		{"a figure before it", []string{`┌─▶┐`, ``, `err := errors.New("x")`}, nil},
		{"a bare return", []string{`for {`, `	x := 1`, `	return`, `}`}, nil},
		{"a function", []string{`func TestA(t *testing.T) {`, `	t.Log(mine)`, `}`}, nil},
		{"no such function", []string{`err := errors.Unite(first)`}, []string{"a/doc.go: undefined: errors.Unite"}},
		{"a method that is gone", []string{`err := errors.New("x")`, `err.Wrap()`}, []string{
			"a/doc.go: err.Wrap undefined (type error has no field or method Wrap)",
		}},
		{"too few results", []string{`a, b := errors.New("x")`}, []string{
			"a/doc.go: assignment mismatch: 2 variables but errors.New returns 1 value",
		}},
		{"no Go", []string{`x := := 1`}, []string{"a/doc.go: 3:6: expected operand, found ':='"}},
	}
	known := map[string]string{"errors": "errors", "testing": "testing"}
	exported := exports(t, "errors", "testing")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := prose
			for _, line := range tt.code {
				text += strings.TrimRight("//\t"+line, "\t") + "\n"
			}
			found := snippets([]source{parse(t, token.NewFileSet(), "a/doc.go", text+"package a\n")})
			require.Equal(t, min(len(tt.code), 1), len(found))
			require.Equal(t, tt.want, snippetComplaints(t, found, known, exported))
		})
	}
}
