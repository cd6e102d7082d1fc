package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// logLine is a line that shipped code may log.
type logLine struct {
	message, level string
	keys           []string // in their order
}

// row is the line as in the table of scheduler/LOGS.md, without what it means.
func (l logLine) row() string {
	return "| `" + l.message + "` | " + l.level + " | " + strings.Join(l.keys, ", ") + " |"
}

// linesOf returns the calls in a file that log: those of a function of a name like a
// level, or log, with a message that begins with its package.
func linesOf(s source) (lines []logLine) {
	message := regexp.MustCompile(`^[a-z]+: .`)
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !slices.Contains([]string{"debug", "info", "warn", "error", "log"}, strings.ToLower(nameOf(call.Fun))) {
			return true
		}
		l := logLine{level: strings.ToUpper(nameOf(call.Fun))}
		for i, arg := range call.Args {
			if level, found := strings.CutPrefix(nameOf(arg), "Level"); found {
				l.level = strings.ToUpper(level)
			}
			if text := textOf(arg); message.MatchString(text) {
				l.message, l.keys = text, keysOf(call.Args[i+1:])
				lines = append(lines, l)
				break
			}
		}
		return true
	})
	return lines
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	default:
		return ""
	}
}

// textOf returns the value of a constant text, which may be put together.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return textOf(e.X) + textOf(e.Y)
	default:
		return ""
	}
}

func keysOf(args []ast.Expr) (keys []string) {
	for i := 0; i < len(args); i += 2 {
		keys = append(keys, textOf(args[i]))
	}
	return keys
}

// LOGS.md lists every line that the library may log, and every key.
func TestEveryLogLineIsListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "scheduler", "LOGS.md"))
	require.NoError(t, err)
	var listed, keys, want, used []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		switch {
		case len(cells) == 4 && strings.HasPrefix(cells[0], "| `"):
			listed = append(listed, strings.Join(cells[:3], " | ")+" |")
		case len(cells) == 2 && strings.HasPrefix(cells[0], "| `"):
			keys = append(keys, strings.Trim(cells[0], "| `"))
		}
	}
	for _, s := range repository(t) {
		if s.test() || within(s.dir(), "examples") || within(s.dir(), "internal") {
			continue
		}
		for _, l := range linesOf(s) {
			want, used = append(want, l.row()), append(used, l.keys...)
		}
	}
	slices.Sort(want)
	slices.Sort(used)
	require.ElementsMatch(t, slices.Compact(want), listed)
	require.ElementsMatch(t, slices.Compact(used), keys)
}

func TestLogLineRules(t *testing.T) {
	s := parse(t, token.NewFileSet(), "a/a.go", `package a
func f() {
	logger.Warn("a: it "+"fails", "error", err, "node", id)
	l.log(slog.LevelInfo, "a: it goes")
	info("a: it went", "seq", 1)
	fmt.Errorf("a: no line")
	logger.Info(message)
}`)
	rows := []string{"| `a: it fails` | WARN | error, node |", "| `a: it goes` | INFO |  |", "| `a: it went` | INFO | seq |"}
	for i, l := range linesOf(s) {
		require.Equal(t, rows[i], l.row())
	}
	require.Len(t, linesOf(s), len(rows))
}
