package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress returns what to call with the number of tasks placed so far: on a
// terminal it moves a bar, elsewhere it does nothing.
func progress(stderr io.Writer, label string, total int) func(done int) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int) {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(stderr), progressbar.OptionSetDescription(label),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond))
	return func(done int) {
		_ = bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
}
