//go:build race

package index

import (
	"fmt"
	"testing"
)

// TestMain runs nothing. An index belongs to one goroutine, and so does each of these
// tests: the race detector has nothing to find in minutes. CI runs them without it.
func TestMain(*testing.M) { fmt.Println("nothing is run under the race detector: see TestMain") }
