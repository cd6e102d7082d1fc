package raft

import (
	"log/slog"
	"time"
)

// warnAgain is how long a warning about dropped messages is not repeated.
const warnAgain = time.Minute

// warnDropped logs that the core has dropped a message, once in a while for each
// thing that somebody would have to mend.
func (l *loop) warnDropped(from string, before Dropped) {
	reason := l.core.Counters().Dropped.cause(before)
	if reason == "" {
		return
	}
	now := l.node.now()
	if last, warned := l.warned[reason]; warned && now-last < warnAgain {
		return
	}
	l.warned[reason] = now
	l.log(slog.LevelWarn, "raft: dropping messages", "peer", from, "reason", reason)
}

// cause says what was wrong with the message that has been counted since before.
// It is empty if none has, or for what happens in good order: late messages
// follow a restart, unknown senders join or have been removed.
func (d Dropped) cause(before Dropped) string {
	switch {
	case d.Malformed > before.Malformed:
		return "no member would send it"
	case d.Foreign > before.Foreign:
		return "it is of another cluster or for another member"
	case d.Wiped > before.Wiped:
		return RefusedWiped.String()
	case d.Twins > before.Twins:
		return RefusedTwin.String()
	case d.Restored > before.Restored:
		return RefusedRestored.String()
	case d.Conflicting > before.Conflicting:
		return "it disagrees about the members or about the leader"
	case d.Unsupported > before.Unsupported:
		return "it is of a later version"
	default:
		return ""
	}
}
