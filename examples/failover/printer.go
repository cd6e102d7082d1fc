package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// printer prints lines with the time since the beginning.
type printer struct {
	start time.Time

	mu  sync.Mutex
	out io.Writer
}

func newPrinter(out io.Writer) *printer { return &printer{start: time.Now(), out: out} }

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, "%8.3f s  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}
