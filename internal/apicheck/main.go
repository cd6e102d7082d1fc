package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// root is the top folder of the repository, seen from this module.
const root = "../.."

// baseline is where the API of the last release is kept until there is a tag.
const baseline = "baseline"

func main() {
	write := flag.Bool("write", false, "take the API as it is for the new baseline")
	flag.Parse()
	run := compare
	if *write {
		run = store
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "apicheck:", err)
		os.Exit(1)
	}
}

// store replaces the baseline.
func store() error {
	now, err := loadAll(root)
	if err != nil {
		return err
	}
	return writeAPI(baseline, now)
}

// compare fails if the API has changed incompatibly without a word in the
// changelog.
func compare() error {
	now, err := loadAll(root)
	if err != nil {
		return err
	}
	before, since, err := released()
	if err != nil {
		return err
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	changes := incompatible(before, now)
	if missing := unnamed(changes, newestSection(string(changelog))); len(missing) > 0 {
		for _, c := range missing {
			fmt.Println(c)
		}
		return fmt.Errorf("%d incompatible changes since %s that CHANGELOG.md does not name", len(missing), since)
	}
	fmt.Printf("%d packages compared with %s: %d incompatible changes, all named\n", len(now), since, len(changes))
	return nil
}

// released returns the API that users have, and where it comes from.
func released() (packageSet, string, error) {
	tag, err := newestTag(root)
	if err != nil {
		return nil, "", err
	}
	if tag == "" {
		before, err := readAPI(baseline)
		return before, "the baseline", err
	}
	dir, err := os.MkdirTemp("", "apicheck")
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := extract(root, tag, dir); err != nil {
		return nil, "", err
	}
	before, err := loadAll(dir)
	return before, tag, err
}
