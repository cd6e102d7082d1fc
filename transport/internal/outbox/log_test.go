package outbox_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/outbox"
)

// diary is a logger and what it has written since take was last called.
type diary struct{ text bytes.Buffer }

func (d *diary) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&d.text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (d *diary) take() string {
	defer d.text.Reset()
	return strings.TrimSpace(d.text.String())
}

func TestAPeerIsOneLineForEachChange(t *testing.T) {
	var d diary
	down := errors.New("down")
	l := outbox.NewPeerLog(d.logger(), "b")
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"never reached", func() { l.Failed(down) }, `level=WARN msg="transport: peer is out of reach" peer=b error=down`},
		{"still not", func() { l.Failed(down) }, ""},
		{"connected", l.Reached, `level=INFO msg="transport: peer connected" peer=b`},
		{"still", l.Reached, ""},
		{"lost", func() { l.Failed(down) }, `level=WARN msg="transport: peer lost" peer=b error=down`},
		{"still lost", func() { l.Failed(down) }, ""},
		{"nothing dropped", func() { l.Look(0) }, ""},
		{"dropped", func() { l.Look(3) }, `level=WARN msg="transport: frames are dropped" peer=b`},
		{"more", func() { l.Look(4) }, ""},
		{"none while it is lost", func() { l.Look(4) }, ""},
		{"back", l.Reached, `level=INFO msg="transport: peer connected" peer=b`},
		{"no more", func() { l.Look(4) }, `level=INFO msg="transport: frames are no longer dropped" peer=b dropped=4`},
		{"still none", func() { l.Look(4) }, ""},
		{"again", func() { l.Look(5) }, `level=WARN msg="transport: frames are dropped" peer=b`},
		{"and no more", func() { l.Look(5) }, `level=INFO msg="transport: frames are no longer dropped" peer=b dropped=1`},
	}
	for _, step := range steps {
		step.do()
		require.Equal(t, step.want, d.take(), step.name)
	}
}

func TestARefusalIsOneLineAMinuteForEachReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var counters transport.Refused
		l := outbox.NewRefusalLog(d.logger())
		seen := map[string]bool{}
		reasons := []*uint64{
			&counters.Busy, &counters.Certificate, &counters.Handshake, &counters.Version,
			&counters.Cluster, &counters.Receiver, &counters.Sender, &counters.Frame,
		}
		for _, reason := range reasons {
			for range 100 {
				l.Refused(&counters, reason, "10.0.0.9:5")
			}
			line := d.take()
			require.Equal(t, 1, strings.Count(line, `level=WARN msg="transport: connections are refused" reason=`), line)
			require.Contains(t, line, "address=10.0.0.9:5")
			seen[line] = true
		}
		require.Len(t, seen, len(reasons), "each in words of its own")
		time.Sleep(outbox.RefusedAgain)
		l.Refused(&counters, &counters.Busy, "10.0.0.9:5")
		require.NotEmpty(t, d.take())
	})
}

func TestWithoutALoggerNothingIsLogged(*testing.T) {
	l := outbox.NewPeerLog(nil, "b")
	l.Failed(errors.New("down"))
	l.Look(1)
	outbox.NewRefusalLog(nil).Refused(new(transport.Refused), nil, "")
}
