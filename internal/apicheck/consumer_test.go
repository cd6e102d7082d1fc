package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// release is the version under which the modules are offered: the one that
// nested modules require of the root.
const release = "v0.1.0"

// offer puts the module in dir into a file proxy, as its tag would.
func offer(t *testing.T, proxy, dir string) *modfile.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	parsed, err := modfile.Parse(dir, data, nil)
	require.NoError(t, err)
	escaped, err := module.EscapePath(parsed.Module.Mod.Path)
	require.NoError(t, err)
	at := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	require.NoError(t, os.MkdirAll(at, 0o755))
	write := func(suffix, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(at, suffix), []byte(text), 0o644))
	}
	write("list", release+"\n")
	write(release+".info", fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, release))
	write(release+".mod", string(data))
	packed, err := os.Create(filepath.Join(at, release+".zip"))
	require.NoError(t, err)
	defer func() { require.NoError(t, packed.Close()) }()
	require.NoError(t, zip.CreateFromDir(packed, module.Version{Path: parsed.Module.Mod.Path, Version: release}, dir))
	return parsed
}

// goIn runs the go command in a consumer's folder. Modules go to a cache that
// ends with the test, since those offered here are not what will be released
// under this version; what others offer comes from the cache of the machine
// where that has it.
func goIn(t *testing.T, dir, proxy, cache string, args ...string) {
	t.Helper()
	env := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	local := "file://" + filepath.ToSlash(filepath.Join(env("GOMODCACHE"), "cache", "download"))
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(),
		"GOPROXY=file://"+filepath.ToSlash(proxy)+","+local+","+env("GOPROXY"),
		"GONOSUMDB="+modulePath+","+modulePath+"/*", "GOMODCACHE="+cache, "GOFLAGS=-mod=mod -modcacherw -trimpath", "GOWORK=off",
	)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), out)
}

// TestConsumerGetsEveryModule gets the root and each nested module as a user
// does, where replace directives do not count, and builds all packages of it.
// Each is got by a module of its own: what one requires must not help another.
func TestConsumerGetsEveryModule(t *testing.T) {
	dirs, err := modules(root)
	require.NoError(t, err)
	require.Greater(t, len(dirs), 5)
	proxy, cache := t.TempDir(), t.TempDir()
	var offered []*modfile.File
	for _, dir := range dirs {
		offered = append(offered, offer(t, proxy, dir))
	}
	for _, m := range offered {
		name := m.Module.Mod.Path
		t.Run(path.Base(name), func(t *testing.T) {
			for _, r := range m.Require {
				if r.Mod.Path == modulePath {
					require.Equal(t, release, r.Mod.Version, "users do not see the replace directive")
				}
			}
			consumer := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(consumer, "go.mod"), []byte("module consumer\n\ngo 1.26.0\n"), 0o644))
			goIn(t, consumer, proxy, cache, "get", name+"@"+release)
			goIn(t, consumer, proxy, cache, "build", name+"/...")
		})
	}
}
