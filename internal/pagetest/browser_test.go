package pagetest

import (
	"context"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser starts Chromium, and skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium in PATH: apt-get install chromium")
	}
	ctx, end := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	ctx, end = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(end)
	require.NoError(t, chromedp.Do(ctx), "the browser starts")
	return ctx
}

// watched is what a browser does beside showing pages.
type watched struct {
	mu       sync.Mutex
	requests []string
	console  []string
}

// watch notes what is asked of servers and what is written to the console from now on.
func watch(ctx context.Context, t *testing.T) *watched {
	t.Helper()
	w := new(watched)
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			w.requests = append(w.requests, event.Request.URL)
		case *runtime.EventConsoleAPICalled:
			w.console = append(w.console, string(event.Type))
		case *runtime.EventExceptionThrown:
			w.console = append(w.console, event.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			w.console = append(w.console, event.Entry.Text)
		}
	}))
	return w
}
