package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
	"golang.org/x/tools/go/gcexportdata"
	"golang.org/x/tools/go/packages"
)

const modulePath = "github.com/rads-project/constellation"

// packageSet has the packages that users may import, by their paths.
type packageSet map[string]*types.Package

// public reports whether users import the package with that path: it is
// neither internal nor a program.
func public(path string) bool {
	rest := strings.TrimPrefix(path, modulePath+"/")
	return rest != path && !strings.HasPrefix(rest, "examples/") &&
		!slices.Contains(strings.Split(rest, "/"), "internal")
}

// modules returns the folders below top that hold a module, the root first.
func modules(top string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return fs.SkipDir
		case d.Name() == "go.mod":
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	slices.Sort(dirs)
	return dirs, err
}

// loadAll type-checks the public packages of all modules below top.
func loadAll(top string) (packageSet, error) {
	dirs, err := modules(top)
	if err != nil {
		return nil, err
	}
	all := make(packageSet)
	for _, dir := range dirs {
		if slices.Contains(strings.Split(filepath.ToSlash(dir), "/"), "examples") {
			continue
		}
		loaded, err := packages.Load(&packages.Config{
			Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps, Dir: dir,
		}, "./...")
		if err != nil {
			return nil, err
		}
		for _, p := range loaded {
			if len(p.Errors) > 0 {
				return nil, p.Errors[0]
			}
			if p.Name != "main" && public(p.PkgPath) {
				all[p.PkgPath] = p.Types
			}
		}
	}
	return all, nil
}

// fileOf is the name of the file in the baseline that a package is kept in.
func fileOf(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, modulePath+"/"), "/", "-") + ".gz"
}

// writeAPI keeps an API in a folder, as export data of the compiler.
func writeAPI(dir string, all packageSet) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if err := writePackage(filepath.Join(dir, fileOf(path)), all[path]); err != nil {
			return err
		}
	}
	return nil
}

func writePackage(name string, p *types.Package) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(f)
	packed.Comment = p.Path()
	return errors.Join(gcexportdata.Write(packed, token.NewFileSet(), p), packed.Close(), f.Close())
}

// readAPI reads what writeAPI has kept.
func readAPI(dir string) (packageSet, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no baseline in %s: %w", dir, errors.Join(err, fs.ErrNotExist))
	}
	all, imports := make(packageSet), make(map[string]*types.Package)
	for _, name := range names {
		p, err := readPackage(name, imports)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[p.Path()] = p
	}
	return all, nil
}

func readPackage(name string, imports map[string]*types.Package) (*types.Package, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	packed, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(packed, token.NewFileSet(), imports, packed.Comment)
}

// newestTag returns the tag of the newest release of the root module, or "".
func newestTag(top string) (string, error) {
	out, err := exec.Command("git", "-C", top, "tag", "--list", "v*").Output()
	if err != nil {
		return "", fmt.Errorf("git tag: %w", err)
	}
	newest := ""
	for tag := range strings.FieldsSeq(string(out)) {
		if semver.IsValid(tag) && semver.Compare(tag, newest) > 0 {
			newest = tag
		}
	}
	return newest, nil
}

// extract puts the files of a tag into a folder.
func extract(top, tag, dir string) error {
	archive := exec.Command("git", "-C", top, "archive", tag)
	untar := exec.Command("tar", "-x", "-C", dir)
	var err error
	if untar.Stdin, err = archive.StdoutPipe(); err != nil {
		return err
	}
	if err := untar.Start(); err != nil {
		return err
	}
	return errors.Join(archive.Run(), untar.Wait())
}
