package raft

import (
	"go/ast"
	"go/parser"
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

var (
	ruleSection = regexp.MustCompile(`(?m)^### Rule (\d+): .+$`)
	ruleComment = regexp.MustCompile(`(?i)\brules? (\d+)((?:(?:, | and | to )\d+)*)`)
	ruleNumber  = regexp.MustCompile(`(, | and | to )(\d+)`)
	quotedName  = regexp.MustCompile("`([^`]+)`")
)

// Each rule that a comment names has its section in PROTOCOL.md, which lists the
// files that do, and no others, and tests that there are. So does PROOF.md.
func TestProtocolNamesEveryRule(t *testing.T) {
	files := make(map[int][]string)
	tests := make(map[string]bool)
	for _, dir := range []string{".", "rafttest", "../internal/sim"} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, paths, dir)
		for _, path := range paths {
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			require.NoError(t, err)
			if strings.HasSuffix(path, "_test.go") {
				for _, d := range parsed.Decls {
					if f, ok := d.(*ast.FuncDecl); ok {
						tests[f.Name.Name] = true
					}
				}
				continue
			}
			for _, rule := range rulesNamed(parsed.Comments) {
				files[rule] = append(files[rule], strings.TrimPrefix(filepath.ToSlash(path), "../"))
			}
		}
	}

	text, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	sections := ruleSection.FindAllSubmatchIndex(text, -1)
	for i, at := range sections {
		rule, _ := strconv.Atoi(string(text[at[2]:at[3]]))
		require.Equal(t, i+1, rule, "rules are numbered from 1")
		body := string(text[at[1]:])
		if i+1 < len(sections) {
			body = string(text[at[1]:sections[i+1][0]])
		}
		require.Contains(t, body, "Without it: ", "rule %d", rule)
		require.ElementsMatch(t, files[rule], listed(body, "- Code: "), "files that name rule %d", rule)
		shown := listed(body, "- Tests: ")
		require.NotEmpty(t, shown, "tests of rule %d", rule)
		for _, name := range shown {
			require.True(t, tests[name], "rule %d names %s, which there is not", rule, name)
		}
		delete(files, rule)
	}
	require.Empty(t, files, "rules without a section")

	text, err = os.ReadFile("PROOF.md")
	require.NoError(t, err)
	for _, m := range quotedName.FindAllSubmatch(text, -1) {
		if name := string(m[1]); strings.HasPrefix(name, "Test") {
			require.True(t, tests[name], "PROOF.md names %s, which there is not", name)
		}
	}
}

// rulesNamed returns the numbers of the rules that comments name, sorted.
func rulesNamed(comments []*ast.CommentGroup) []int {
	var rules []int
	for _, c := range comments {
		text := strings.Join(strings.Fields(c.Text()), " ")
		for _, m := range ruleComment.FindAllStringSubmatch(text, -1) {
			last, _ := strconv.Atoi(m[1])
			rules = append(rules, last)
			for _, more := range ruleNumber.FindAllStringSubmatch(m[2], -1) {
				next, _ := strconv.Atoi(more[2])
				for more[1] == " to " && last < next-1 {
					last++
					rules = append(rules, last)
				}
				rules, last = append(rules, next), next
			}
		}
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

// listed returns the quoted names on the line that begins so.
func listed(body, head string) []string {
	var names []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, head) {
			for _, m := range quotedName.FindAllStringSubmatch(line, -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}
