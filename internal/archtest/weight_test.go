package archtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxAddedStandard is how many standard packages importing package scheduler
// may add to what [weightBase] links anyway.
const maxAddedStandard = 20

// weightBase lists the packages that are no extra weight: those of a hello
// world, and two that nearly every service has.
func weightBase() []string { return []string{"fmt", "encoding/json", "log/slog"} }

// added sorts the linked packages that are neither in base nor ours into
// standard and foreign ones.
func added(linked, base []string) (std, foreign []string) {
	for _, pkg := range linked {
		switch {
		case slices.Contains(base, pkg) || within(pkg, modulePath):
		case standard(pkg):
			std = append(std, pkg)
		default:
			foreign = append(foreign, pkg)
		}
	}
	return std, foreign
}

func TestSchedulerIsLight(t *testing.T) {
	base := goCommand(t, append([]string{"list", "-deps"}, weightBase()...)...)
	std, foreign := added(goCommand(t, "list", "-deps", "./scheduler"), base)
	require.Empty(t, foreign, "third-party packages linked")
	require.LessOrEqual(t, len(std), maxAddedStandard, "standard packages linked: %s", strings.Join(std, " "))
}

func TestWeightRule(t *testing.T) {
	linked := []string{"fmt", "hash/crc32", modulePath + "/placement", modulePath + "x", "vendor/golang.org/x/net/idna", "example.com/a"}
	std, foreign := added(linked, []string{"errors", "fmt"})
	require.Equal(t, []string{"hash/crc32", "vendor/golang.org/x/net/idna"}, std)
	require.Equal(t, []string{modulePath + "x", "example.com/a"}, foreign)
}
