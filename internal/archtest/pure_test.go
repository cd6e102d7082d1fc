package archtest

import (
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// purePatterns names the files whose code decides: it gets the time as an
// argument and does nothing but compute. Functions of the same package that
// these files call are held to the same rules, wherever they stand.
func purePatterns() []string {
	return []string{
		"placement/*.go",
		"quota/accounts*.go",
		"reservation/plan*.go",
		"scheduler/state*.go",
		"scheduler/wire*.go",
		"scheduler/replica/liveness_core*.go",
		"raft/core*.go",
		"raft/message*.go",
		"raft/codec*.go",
		"raft/configuration*.go",
		"raft/hardstate*.go",
		"raft/entry.go",
		"raft/config.go",
		"raft/errors.go",
		"internal/deadline/*.go",
		"internal/skyline/*.go",
		"internal/statetime/*.go",
		"internal/codec/*.go",
		"internal/index/*.go",
		"internal/faultnet/*.go",
	}
}

// pure reports whether the file at that path is pure as a whole.
func pure(file string) bool {
	return slices.ContainsFunc(purePatterns(), func(pattern string) bool {
		ok, err := path.Match(pattern, file)
		return ok && err == nil
	})
}

// impure says how an object that pure code names makes it depend on more than
// its arguments, or returns "".
func impure(obj types.Object) string {
	if obj.Pkg() == nil {
		return ""
	}
	name := obj.Pkg().Path() + "." + obj.Name()
	for _, pkg := range []string{"crypto/rand", "hash/maphash", "net", "os", "runtime", "sync", "syscall"} {
		if within(obj.Pkg().Path(), pkg) {
			return name
		}
	}
	function, ok := obj.(*types.Func)
	if !ok || function.Signature().Recv() != nil {
		return ""
	}
	switch obj.Pkg().Path() {
	case "time":
		switch obj.Name() {
		case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer":
			return name
		}
	case "context":
		switch obj.Name() {
		case "AfterFunc", "WithDeadline", "WithDeadlineCause", "WithTimeout", "WithTimeoutCause":
			return name
		}
	case "log":
		return name
	case "log/slog":
		switch strings.TrimSuffix(obj.Name(), "Context") {
		case "Debug", "Default", "Error", "Info", "Log", "Warn":
			return name // of the process's logger
		}
	case "math/rand", "math/rand/v2":
		if !strings.HasPrefix(obj.Name(), "New") {
			return name // draws from the generator that the process shares
		}
	}
	return ""
}

// pureComplaints checks the pure files among the sources of one package, and
// what their code calls in the others.
func pureComplaints(sources []source, info *types.Info) []string {
	type declaration struct {
		source
		node ast.Node
	}
	functions := map[types.Object]declaration{} // those outside pure files, until they are reached
	var queue []declaration
	for _, s := range sources {
		if pure(s.path) {
			queue = append(queue, declaration{s, s.syntax})
			continue
		}
		for _, decl := range s.syntax.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				functions[info.Defs[f.Name]] = declaration{s, f}
			}
		}
	}
	var complaints []string
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		ast.Inspect(at.node, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt:
				complaints = append(complaints, at.complain(node.Pos(), "go statement in pure code"))
			case *ast.Ident:
				obj, used := info.Uses[node]
				if !used {
					break
				}
				if name := impure(obj); name != "" {
					complaints = append(complaints, at.complain(node.Pos(), "%s in pure code", name))
				}
				if function, ok := obj.(*types.Func); ok {
					obj = function.Origin()
				}
				if reached, ok := functions[obj]; ok {
					delete(functions, obj)
					queue = append(queue, reached)
				}
			}
			return true
		})
	}
	slices.Sort(complaints)
	return slices.Compact(complaints)
}

// exports asks the go command for the compiled form of packages and of all
// that they import, by import path. A package that does not compile is missing.
func exports(t *testing.T, packages ...string) map[string]string {
	t.Helper()
	args := append([]string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"}, packages...)
	files := map[string]string{}
	for _, line := range goCommand(t, args...) {
		name, file, _ := strings.Cut(line, "=")
		files[name] = file
	}
	return files
}

// goCommand runs the go command in the top folder and returns the lines that
// it prints.
func goCommand(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// importerOf returns what reads the compiled form of packages.
func importerOf(fset *token.FileSet, exported map[string]string) types.Importer {
	return importer.ForCompiler(fset, "gc", func(name string) (io.ReadCloser, error) {
		file, ok := exported[name]
		if !ok {
			return nil, errors.New("it does not compile")
		}
		return os.Open(file)
	})
}

// typeCheck resolves the names in sources, the files of one package.
func typeCheck(t *testing.T, sources []source, exported map[string]string) *types.Info {
	t.Helper()
	fset := sources[0].fset
	config := types.Config{Importer: importerOf(fset, exported)}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	for _, s := range sources {
		files = append(files, s.syntax)
	}
	_, err := config.Check(sources[0].dir(), fset, files, info)
	require.NoError(t, err)
	return info
}

// purePackages returns the files that make up each package with a pure file on
// this platform, by folder.
func purePackages(t *testing.T) map[string][]source {
	t.Helper()
	packages := map[string][]source{}
	for _, s := range repository(t) {
		if s.module != "." || s.test() {
			continue
		}
		file := filepath.Join(root, filepath.FromSlash(s.path))
		built, err := build.Default.MatchFile(filepath.Split(file))
		require.NoError(t, err)
		if built {
			packages[s.dir()] = append(packages[s.dir()], s)
		}
	}
	maps.DeleteFunc(packages, func(_ string, sources []source) bool {
		return !slices.ContainsFunc(sources, func(s source) bool { return pure(s.path) })
	})
	return packages
}

func TestPure(t *testing.T) {
	packages := purePackages(t)
	var names []string
	for dir := range packages {
		names = append(names, "./"+dir)
	}
	require.NotEmpty(t, names)
	exported := exports(t, names...)
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		t.Run(dir, func(t *testing.T) {
			sources := packages[dir]
			requireNone(t, pureComplaints(sources, typeCheck(t, sources, exported)))
		})
	}
}

func TestPurePatternsMatch(t *testing.T) {
	sources := repository(t)
	for _, pattern := range purePatterns() {
		t.Run(strings.ReplaceAll(pattern, "/", "."), func(t *testing.T) {
			require.True(t, slices.ContainsFunc(sources, func(s source) bool {
				ok, err := path.Match(pattern, s.path)
				return ok && err == nil && !s.test()
			}), "no file matches: a file was renamed and escapes the rule")
		})
	}
}

func TestPureRules(t *testing.T) {
	exported := exports(t, "context", "crypto/rand", "hash/maphash", "log", "log/slog", "math/rand", "math/rand/v2", "net/netip", "os",
		"runtime", "sync/atomic", "syscall", "time")
	tests := []struct {
		name  string
		pure  string // body of raft/core.go
		shell string // body of raft/node.go
		want  []string
	}{
		{name: "time as an argument", pure: `
			import "time"
			func due(now, at time.Time) time.Duration { return at.Sub(now).Round(time.Second) }`},
		{name: "a generator of one's own", pure: `
			import "math/rand/v2"
			func draw(seed uint64) int { return rand.New(rand.NewPCG(seed, 0)).IntN(6) }`},
		{name: "the shell does as it likes", pure: `
			func step() int { return 1 }`, shell: `
			import "time"
			func run() { go step(); time.Sleep(1) }`},
		{name: "types of the shell may be named", pure: `
			type core struct { store store }`, shell: `
			import "time"
			type store interface { save(time.Time) error }
			func (c *core) run() { time.Sleep(1) }`},
		{name: "clock", pure: `
			import "time"
			func a() time.Time { return time.Now() }`, want: []string{"raft/core.go:4: time.Now in pure code"}},
		{name: "clock as a value, under another name", pure: `
			import clock "time"
			func a() func() clock.Time { return clock.Now }`, want: []string{"raft/core.go:4: time.Now in pure code"}},
		{name: "clock by dot import", pure: `
			import . "time"
			func a() Time { return Now() }`, want: []string{"raft/core.go:4: time.Now in pure code"}},
		{name: "elapsed time", pure: `
			import "time"
			func a(t time.Time) { time.Since(t); time.Until(t) }`, want: []string{
			"raft/core.go:4: time.Since in pure code", "raft/core.go:4: time.Until in pure code",
		}},
		{name: "timers", pure: `
			import ("context"; "time")
			func a() { time.NewTimer(1); time.AfterFunc(1, nil); context.WithTimeout(nil, 1) }`, want: []string{
			"raft/core.go:4: context.WithTimeout in pure code", "raft/core.go:4: time.AfterFunc in pure code", "raft/core.go:4: time.NewTimer in pure code",
		}},
		{name: "goroutine", pure: `
			func a() { go a() }`, want: []string{"raft/core.go:3: go statement in pure code"}},
		{name: "lock", pure: `
			import "sync"
			type a struct { sync.Mutex }`, want: []string{"raft/core.go:4: sync.Mutex in pure code"}},
		{name: "atomic", pure: `
			import "sync/atomic"
			type a struct { n atomic.Int64 }`, want: []string{"raft/core.go:4: sync/atomic.Int64 in pure code"}},
		{name: "lock of the shell's type", pure: `
			func (s *shell) a() { s.mu.Lock() }`, shell: `
			import "sync"
			type shell struct { mu sync.Mutex }`, want: []string{"raft/core.go:3: sync.Lock in pure code"}},
		{name: "files, sockets, calls", pure: `
			import ("net/netip"; "os"; "syscall")
			var _, _, _ = os.Args, syscall.EIO, netip.Addr{}`, want: []string{
			"raft/core.go:4: net/netip.Addr in pure code", "raft/core.go:4: os.Args in pure code", "raft/core.go:4: syscall.EIO in pure code",
		}},
		{name: "randomness of the process", pure: `
			import (old "math/rand"; "math/rand/v2"; crand "crypto/rand")
			func a() { rand.IntN(6); old.Shuffle(1, nil); crand.Read(nil) }`, want: []string{
			"raft/core.go:4: crypto/rand.Read in pure code", "raft/core.go:4: math/rand.Shuffle in pure code", "raft/core.go:4: math/rand/v2.IntN in pure code",
		}},
		{name: "hashes that differ from process to process", pure: `
			import "hash/maphash"
			func a() uint64 { return maphash.String(maphash.MakeSeed(), "a") }`, want: []string{
			"raft/core.go:4: hash/maphash.MakeSeed in pure code", "raft/core.go:4: hash/maphash.String in pure code",
		}},
		{name: "logs and the machine", pure: `
			import ("log"; "log/slog"; "runtime")
			type b struct { *slog.Logger }
			func a() { log.Print(runtime.NumCPU()); slog.Info("a") }`, want: []string{
			"raft/core.go:5: log.Print in pure code", "raft/core.go:5: log/slog.Info in pure code", "raft/core.go:5: runtime.NumCPU in pure code",
		}},
		{name: "through functions and generic methods of the shell", pure: `
			func a() { b(); new(list[int]).d() }`, shell: `
			import "time"
			type list[T any] struct{}
			func b() { c() }
			func c() { time.Now() }
			func (list[T]) d() { go c() }
			func unreached() { go c() }`, want: []string{
			"raft/node.go:6: time.Now in pure code", "raft/node.go:7: go statement in pure code",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			sources := []source{
				parse(t, fset, "raft/core.go", "package raft\n"+tt.pure),
				parse(t, fset, "raft/node.go", "package raft\n"+tt.shell),
			}
			require.Equal(t, tt.want, pureComplaints(sources, typeCheck(t, sources, exported)))
		})
	}
}
