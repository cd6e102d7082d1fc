package raft

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Rule 2: on Linux the clock counts the time in suspend, as /proc/uptime does.
func TestSystemClockCountsSuspend(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skipf("no /proc/uptime: %v", err)
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	require.NoError(t, err)
	uptime := time.Duration(seconds * float64(time.Second))
	if _, err := bootTime(); err != nil {
		t.Skipf("no CLOCK_BOOTTIME: %v", err)
	}
	require.InDelta(t, uptime.Seconds(), systemClock()().Seconds(), 60)
}
