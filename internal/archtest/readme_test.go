package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// A Go block in a README follows a comment on a line of its own that says where
// the code comes from, a whole file or the body of one function, with the path
// from the top of the repository:
//
//	<!-- example: examples/quickstart/main.go -->
//	<!-- example: scheduler/example_test.go ExampleScheduler -->
//	<!-- example: scheduler/sqljournal/append.go Journal.Append -->
const (
	markerPrefix = "<!-- example: "
	markerSuffix = " -->"
)

// goBlock is one fenced block of Go code in a Markdown file.
type goBlock struct {
	line   int    // of its opening fence
	before string // the last line before it that is not blank
	code   string
}

// goBlocks returns the Go blocks of a Markdown text in their order.
func goBlocks(markdown string) []goBlock {
	var blocks []goBlock
	var fence, before string
	var current *goBlock
	for i, line := range strings.Split(markdown, "\n") {
		switch {
		case fence != "" && line == fence:
			fence, current, before = "", nil, line
		case current != nil:
			current.code += line + "\n"
		case fence == "" && strings.HasPrefix(line, "```"):
			info := strings.TrimLeft(line, "`")
			fence = strings.TrimSuffix(line, info)
			if info == "go" {
				blocks = append(blocks, goBlock{line: i + 1, before: before})
				current = &blocks[len(blocks)-1]
			}
		case strings.TrimSpace(line) != "":
			before = line
		}
	}
	return blocks
}

// exampleCode returns what a marker's content names: a file, or the body of a
// function in it with one level of indentation taken off.
func exampleCode(files fs.FS, named string) (string, error) {
	file, function, ofFunction := strings.Cut(named, " ")
	text, err := fs.ReadFile(files, file)
	if err != nil || !ofFunction {
		return string(text), err
	}
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	for _, decl := range syntax.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && functionName(f) == function {
			body := text[fset.Position(f.Body.Lbrace).Offset+1 : fset.Position(f.Body.Rbrace).Offset]
			body = bytes.ReplaceAll(body, []byte("\n\t"), []byte("\n"))
			return strings.TrimPrefix(string(body), "\n"), nil
		}
	}
	return "", errors.New("no function " + function + " in " + file)
}

// functionName returns the name of a function, and T.Name for a method.
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if of, ok := receiver.(*ast.Ident); ok {
		return of.Name + "." + f.Name.Name
	}
	return "" // of a generic type
}

// readmeComplaints checks that each Go block of each README.md equals its
// example, byte for byte.
func readmeComplaints(files fs.FS) ([]string, error) {
	var complaints []string
	err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && ignoredDir(entry.Name()):
			return fs.SkipDir
		case entry.Name() != "README.md":
			return nil
		}
		text, err := fs.ReadFile(files, file)
		for _, b := range goBlocks(string(text)) {
			if fault := b.fault(files); fault != "" {
				complaints = append(complaints, fmt.Sprintf("%s:%d: %s", file, b.line, fault))
			}
		}
		return err
	})
	return complaints, err
}

// fault says what is wrong with b, if anything.
func (b goBlock) fault(files fs.FS) string {
	named, ok := strings.CutPrefix(b.before, markerPrefix)
	named, closed := strings.CutSuffix(named, markerSuffix)
	if !ok || !closed {
		return "Go block without a line " + markerPrefix + "FILE [FUNCTION]" + markerSuffix + " before it"
	}
	switch code, err := exampleCode(files, named); {
	case err != nil:
		return err.Error()
	case code != b.code:
		return "differs from " + named
	}
	return ""
}

func TestReadmes(t *testing.T) {
	complaints, err := readmeComplaints(os.DirFS(root))
	require.NoError(t, err)
	requireNone(t, complaints)
}

func TestReadmeRules(t *testing.T) {
	const program = "// Program a.\npackage main\n\nfunc main() {}\n"
	const example = "package a\n\nfunc ExampleA() {\n\tif true {\n\t\tb()\n\t}\n\n\tc()\n\t// Output: d\n}\n"
	const body = "if true {\n\tb()\n}\n\nc()\n// Output: d\n"
	tests := []struct {
		name   string
		readme string
		want   []string
	}{
		{"no code", "# Title\n\n```sh\ngo test ./...\n```\n", nil},
		{"whole file", "<!-- example: main.go -->\n```go\n" + program + "```\n", nil},
		{"body, after a blank line", "<!-- example: a_test.go ExampleA -->\n\n```go\n" + body + "```\n", nil},
		{"a method", "<!-- example: c.go T.b -->\n```go\nc()\n```\n<!-- example: c.go U.b -->\n```go\nd()\n```\n", nil},
		{"a method by its bare name", "<!-- example: c.go b -->\n```go\nc()\n```\n", []string{"doc/README.md:2: no function b in c.go"}},
		{"a fence in a longer fence", "````markdown\n```go\n```\n````\n", nil},
		{"differs", "text\n\n<!-- example: a_test.go ExampleA -->\n```go\n" + body + "\n```\n", []string{
			"doc/README.md:4: differs from a_test.go ExampleA",
		}},
		{"unmarked", "text\n```go\n" + program + "```\n", []string{
			"doc/README.md:2: Go block without a line <!-- example: FILE [FUNCTION] --> before it",
		}},
		{"a marker serves one block", "<!-- example: main.go -->\n```go\n" + program + "```\n```go\n" + program + "```\n", []string{
			"doc/README.md:8: Go block without a line <!-- example: FILE [FUNCTION] --> before it",
		}},
		{"no such file", "<!-- example: b.go -->\n```go\n```\n", []string{"doc/README.md:2: open b.go: file does not exist"}},
		{"no such function", "<!-- example: a_test.go ExampleB -->\n```go\n```\n", []string{
			"doc/README.md:2: no function ExampleB in a_test.go",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			complaints, err := readmeComplaints(fstest.MapFS{
				"doc/README.md":      {Data: []byte(tt.readme)},
				"doc/NOTES.md":       {Data: []byte("```go\n```\n")},
				"testdata/README.md": {Data: []byte("```go\n```\n")},
				"main.go":            {Data: []byte(program)},
				"a_test.go":          {Data: []byte(example)},
				"c.go":               {Data: []byte("package c\n\nfunc (T) b() {\n\tc()\n}\n\nfunc (*U) b() {\n\td()\n}\n")},
			})
			require.NoError(t, err)
			require.Equal(t, tt.want, complaints)
		})
	}
}
