package archtest

import (
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// importTable says, for each package but the examples, which of our packages
// its shipped code may import. A new package needs a line here: where it stands
// in the house is a decision.
func importTable() map[string][]string {
	return map[string][]string{
		"placement":   {},
		"quota":       {"placement", "internal/deadline", "internal/skyline", "internal/statetime"},
		"reservation": {"placement", "internal/deadline", "internal/skyline", "internal/statetime"},

		"scheduler":                {"placement", "quota", "reservation", "internal/codec", "internal/cow", "internal/deadline", "internal/statetime", "internal/index"},
		"scheduler/boltjournal":    {"scheduler"},
		"scheduler/debugpage":      {"placement", "quota", "raft", "reservation", "scheduler", "scheduler/metrics", "scheduler/replica", "transport"},
		"scheduler/etcdjournal":    {"placement", "scheduler", "scheduler/internal/batch", "scheduler/lease"},
		"scheduler/journaltest":    {"scheduler", "scheduler/lease"},
		"scheduler/internal/batch": {"scheduler"},
		"scheduler/lease":          {"placement"},
		"scheduler/metrics":        {"placement", "quota", "raft", "reservation", "scheduler", "transport"},
		"scheduler/prommetrics":    {"scheduler/metrics"},
		"scheduler/replica":        {"placement", "scheduler"},
		"scheduler/raftjournal":    {"internal/codec", "raft", "scheduler"},
		"scheduler/sqljournal":     {"placement", "scheduler", "scheduler/internal/batch", "scheduler/lease"},

		"raft":          {"internal/faultnet"},
		"raft/cluster":  {"raft", "transport/tcp"},
		"raft/rafttest": {"raft", "internal/faultnet", "internal/sim"},

		"transport":                    {"internal/faultnet", "transport/internal/fairqueue"},
		"transport/httptransport":      {"transport", "transport/internal/outbox", "transport/internal/wire"},
		"transport/tcp":                {"transport", "transport/internal/outbox", "transport/internal/wire"},
		"transport/transporttest":      {"transport"},
		"transport/internal/fairqueue": {},
		"transport/internal/outbox":    {"transport", "transport/internal/fairqueue", "transport/internal/wire"},
		"internal/testcert":            {},
		"transport/internal/wire":      {},

		"internal/apicheck":  {},
		"internal/archtest":  {},
		"internal/codec":     {},
		"internal/cow":       {},
		"internal/deadline":  {},
		"internal/faultnet":  {},
		"internal/index":     {"placement", "internal/cow"},
		"internal/jsontest":  {}, // of tests alone
		"internal/pagetest":  {},
		"internal/linearize": {},
		"internal/raftdiff":  {},
		"internal/sim":       {"raft", "internal/faultnet"},
		"internal/skyline":   {},
		"internal/statetime": {},
	}
}

// mayImport reports whether shipped code in folder from may import the package
// in folder to. An example may import everything public, and its own packages.
func mayImport(from, to string) bool {
	if !within(from, "examples") {
		return slices.Contains(importTable()[from], to)
	}
	if within(to, "examples") {
		return exampleOf(from) == exampleOf(to)
	}
	return !slices.Contains(strings.Split(to, "/"), "internal")
}

// exampleOf returns the folder of the example that dir belongs to.
func exampleOf(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return path.Join(parts[:min(2, len(parts))]...)
}

// importComplaints checks every import of sources.
func importComplaints(sources []source) []string {
	var complaints []string
	for _, s := range sources {
		if _, placed := importTable()[s.dir()]; !placed && !within(s.dir(), "examples") {
			complaints = append(complaints, s.complain(s.syntax.Package, "package %s is not in the import table", s.dir()))
			continue
		}
		for imported, pos := range s.imports {
			if fault := importFault(s, imported, sources); fault != "" {
				complaints = append(complaints, s.complain(pos, "imports %s: %s", imported, fault))
			}
		}
	}
	return complaints
}

// importFault says what is wrong with s importing that package, if anything.
func importFault(s source, imported string, sources []source) string {
	ours := within(imported, modulePath)
	to := strings.TrimPrefix(imported, modulePath+"/")
	switch {
	case ours && !within(s.dir(), "examples") && !sameOrRootModule(s, to, sources):
		return "it belongs to another nested module"
	case s.test():
		return ""
	case ours && !mayImport(s.dir(), to):
		return "not in the import table of " + s.dir()
	case !ours && s.module == "." && !standard(imported):
		return "no third-party package outside tests in the root module"
	case within(imported, "testing") && !strings.HasSuffix(s.dir(), "test"):
		return "only tests and packages named *test use testing"
	}
	return ""
}

// sameOrRootModule reports whether the package in folder to belongs to the
// module of s or to the root module.
func sameOrRootModule(s source, to string, sources []source) bool {
	return !slices.ContainsFunc(sources, func(other source) bool {
		return other.module != "." && other.module != s.module && within(to, other.module)
	})
}

// standard reports whether an import path belongs to the standard library; "C"
// does not, for there is no cgo.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

func TestImports(t *testing.T) {
	requireNone(t, importComplaints(repository(t)))
}

func TestImportRules(t *testing.T) {
	const ours = modulePath + "/"
	tests := []struct {
		name     string
		file     string
		module   string // "" means the root module
		imported string
		want     string // "" means allowed
	}{
		{"table allows", "quota/ledger.go", "", ours + "placement", ""},
		{"table forbids", "placement/node.go", "", ours + "quota", "not in the import table of placement"},
		{"raft and transport are strangers", "raft/node.go", "", ours + "transport", "not in the import table of raft"},
		{"below is not above", "transport/tcp/dial.go", "", ours + "raft", "not in the import table of transport/tcp"},
		{"the root folder is no package", "placement/node.go", "", modulePath, "not in the import table of placement"},
		{"tests may import what they like", "placement/node_test.go", "", ours + "scheduler", ""},
		{"but no nested module", "scheduler/open_test.go", "", ours + "scheduler/boltjournal", "it belongs to another nested module"},
		{"but an example may", "examples/a/main.go", "examples/a", ours + "scheduler/boltjournal", ""},
		{"nested imports root", "scheduler/boltjournal/journal.go", "scheduler/boltjournal", ours + "scheduler", ""},
		{"nested has its own packages", "scheduler/boltjournal/x_test.go", "scheduler/boltjournal", ours + "scheduler/boltjournal", ""},
		{"unplaced package", "helpers/x.go", "", "fmt", "package helpers is not in the import table"},
		{"example imports public", "examples/a/main.go", "", ours + "raft/rafttest", ""},
		{"example imports internal", "examples/a/main.go", "", ours + "internal/index", "not in the import table of examples/a"},
		{"example imports itself", "examples/a/cmd/main.go", "", ours + "examples/a/trace", ""},
		{"example imports another", "examples/a/main.go", "", ours + "examples/b", "not in the import table of examples/a"},
		{"third party", "quota/ledger.go", "", "golang.org/x/time/rate", "no third-party package outside tests in the root module"},
		{"third party in a root example", "examples/a/main.go", "", "go.etcd.io/bbolt", "no third-party package outside tests in the root module"},
		{"third party in a test", "quota/ledger_test.go", "", "pgregory.net/rapid", ""},
		{"third party in a nested module", "scheduler/boltjournal/journal.go", "scheduler/boltjournal", "go.etcd.io/bbolt", ""},
		{"a name like ours", "quota/ledger.go", "", modulePath + "x/y", "no third-party package outside tests in the root module"},
		{"cgo", "raft/clock.go", "", "C", "no third-party package outside tests in the root module"},
		{"testing is shipped", "raft/node.go", "", "testing", "only tests and packages named *test use testing"},
		{"testing/synctest too", "raft/node.go", "", "testing/synctest", "only tests and packages named *test use testing"},
		{"a test kit", "raft/rafttest/cluster.go", "", "testing", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, token.NewFileSet(), tt.file, "package p\n\nimport _ \""+tt.imported+"\"\n")
			if tt.module != "" {
				s.module = tt.module
			}
			nested := parse(t, token.NewFileSet(), "scheduler/boltjournal/doc.go", "package boltjournal")
			nested.module = "scheduler/boltjournal"

			got := importComplaints([]source{s, nested})
			if tt.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], tt.want)
		})
	}
}
