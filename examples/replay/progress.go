package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/rads-project/constellation/scheduler"
)

// progress returns what to call after each arrival of a run: on a terminal it
// moves a bar, elsewhere it does nothing.
func progress(stderr io.Writer, label string, total int) func(scheduler.Decision) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(scheduler.Decision) {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(stderr), progressbar.OptionSetDescription(label),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond))
	return func(scheduler.Decision) {
		_ = bar.Add(1) // a bar that cannot be drawn is no reason to stop
	}
}
