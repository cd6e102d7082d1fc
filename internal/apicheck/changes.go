package main

import (
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// incompatibility is a change of the API that breaks code which compiles without it.
type incompatibility struct {
	// identifier with its package, such as scheduler.Scheduler.Nodes; that of a
	// package that is gone is the package's name.
	identifier string
	// text says what has changed.
	text string
}

func (c incompatibility) String() string { return "`" + c.identifier + "`: " + c.text }

// incompatible returns what may break the build of a user, by package.
func incompatible(before, now packageSet) []incompatibility {
	var changes []incompatibility
	for _, p := range slices.Sorted(maps.Keys(before)) {
		name := path.Base(p)
		if now[p] == nil {
			changes = append(changes, incompatibility{name, "the package is gone"})
			continue
		}
		for _, c := range apidiff.Changes(before[p], now[p]).Changes {
			if c.Compatible {
				continue
			}
			symbol, text, _ := strings.Cut(c.Message, ": ")
			changes = append(changes, incompatibility{name + "." + plain(symbol), text})
		}
	}
	return changes
}

// plain turns (*T).Method into T.Method.
func plain(symbol string) string {
	return strings.NewReplacer("(", "", "*", "", ")", "").Replace(symbol)
}

// newestSection returns the first section of a changelog.
func newestSection(changelog string) string {
	_, section, _ := strings.Cut(changelog, "\n## ")
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// unnamed returns the changes that a section of the changelog does not name.
func unnamed(changes []incompatibility, section string) []incompatibility {
	return slices.DeleteFunc(slices.Clone(changes), func(c incompatibility) bool {
		return strings.Contains(section, "`"+c.identifier+"`")
	})
}
