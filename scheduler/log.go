package scheduler

import (
	"context"
	"log/slog"

	"github.com/rads-project/constellation/reservation"
)

// logLine is what is logged of a state change.
type logLine struct {
	level   slog.Level
	message string
	args    []any // keys and values in turns
}

func debug(message string, args ...any) *logLine { return &logLine{slog.LevelDebug, message, args} }
func info(message string, args ...any) *logLine  { return &logLine{slog.LevelInfo, message, args} }
func warn(message string, args ...any) *logLine  { return &logLine{slog.LevelWarn, message, args} }

// log writes a line that is not nil. It calls the host's code: no lock is held.
func (l *logLine) log(to *slog.Logger) {
	if l != nil {
		to.Log(context.Background(), l.level, l.message, l.args...)
	}
}

// lineOf returns what is logged of an event, and nil for what comes with each
// placement or is about one instance.
func lineOf(e Event) *logLine {
	switch c := e.Change.(type) {
	case *NodeAdded:
		return info("scheduler: node added", "node", c.Node.ID, "seq", e.Seq)
	case *NodeUpdated:
		// At Debug: hosts keep in labels what they measure.
		return debug("scheduler: node updated", "node", c.Node.ID, "seq", e.Seq)
	case *NodeMarked:
		return markLine(e, c)
	case *NodeRemoved:
		return info("scheduler: node removed", "node", c.NodeID, "seq", e.Seq)
	case *NodeAdopted:
		return info("scheduler: node reported", "node", c.Node.ID, "adopted", len(c.Instances), "seq", e.Seq)
	case *QuotaCreated:
		return info("scheduler: quota created", "namespace", c.Spec.Namespace, "seq", e.Seq)
	case *QuotaUpdated:
		return info("scheduler: quota updated", "namespace", c.Spec.Namespace, "seq", e.Seq)
	case *QuotaDeleted:
		return info("scheduler: quota deleted", "namespace", c.Namespace, "seq", e.Seq)
	case *QuotaOver:
		return warn("scheduler: usage is above quotas", "namespaces", overNamespaces(c), "seq", e.Seq)
	case *BurstExpired:
		return warn("scheduler: burst expired", "namespace", c.Namespace, "dimension", string(c.Resource), "seq", e.Seq)
	case *WorkloadChanged:
		return info("scheduler: typical work changed", "classes", len(c.Mix), "seq", e.Seq)
	case *PlanChanged:
		return planLine(e, c)
	case *ReservationEvent:
		return reservationLine(e, c)
	default:
		return nil
	}
}

func markLine(e Event, c *NodeMarked) *logLine {
	switch c.Mark {
	case MarkLost:
		return warn("scheduler: node lost", "node", c.NodeID, "seq", e.Seq)
	case MarkReady:
		return info("scheduler: node ready again", "node", c.NodeID, "seq", e.Seq)
	case MarkCordoned:
		return info("scheduler: node cordoned", "node", c.NodeID, "seq", e.Seq)
	default:
		return info("scheduler: node uncordoned", "node", c.NodeID, "seq", e.Seq)
	}
}

// overNamespaces returns the namespaces that are over, each once, in their order.
func overNamespaces(c *QuotaOver) []string {
	var over []string
	for _, usage := range c.Usage {
		if len(over) == 0 || over[len(over)-1] != usage.Namespace {
			over = append(over, usage.Namespace)
		}
	}
	return over
}

// planLine is about what a call asked for, which comes first; what it makes slots do
// has events of its own.
func planLine(e Event, c *PlanChanged) *logLine {
	if len(c.Changes) == 0 {
		return nil
	}
	switch first := c.Changes[0]; first.Kind {
	case reservation.Schedule:
		return info("scheduler: reservation series changed", "reservation", first.Series.ID, "seq", e.Seq)
	case reservation.Put:
		return info("scheduler: reservation changed", "reservation", first.Reservation.Spec.ID, "seq", e.Seq)
	default: // one that ends is over, which is an event of its own
		return nil
	}
}

func reservationLine(e Event, c *ReservationEvent) *logLine {
	switch c.Kind {
	case reservation.Started:
		return info("scheduler: reservation started", "reservation", c.Reservation, "seq", e.Seq)
	case reservation.Noticed:
		return info("scheduler: reservation gives notice", "reservation", c.Reservation, "due", c.Due, "seq", e.Seq)
	case reservation.Closing:
		return info("scheduler: node closes for maintenance", "node", c.Node, "due", c.Due, "seq", e.Seq)
	case reservation.Expired:
		return info("scheduler: reservation expired", "reservation", c.Reservation, "seq", e.Seq)
	case reservation.Over:
		return info("scheduler: reservation over", "reservation", c.Reservation, "seq", e.Seq)
	case reservation.SlotMoved:
		return info("scheduler: reservation moved", "reservation", c.Reservation, "seq", e.Seq)
	case reservation.SlotRegained:
		return info("scheduler: reservation regained", "reservation", c.Reservation, "seq", e.Seq)
	case reservation.SlotLost:
		return warn("scheduler: reservation degraded", "reservation", c.Reservation, "node", c.From, "seq", e.Seq)
	case reservation.SlotWaiting:
		return warn("scheduler: reservation waits", "reservation", c.Reservation, "node", c.Node, "instances", c.Because, "seq", e.Seq)
	case reservation.AllLost:
		return warn("scheduler: reservation displaced", "reservation", c.Reservation, "seq", e.Seq)
	default:
		return nil
	}
}

// sameLine reports whether one line tells both of two events: what became of the
// slots of one reservation in one entry.
func sameLine(a, b Event) bool {
	one, ok := a.Change.(*ReservationEvent)
	other, both := b.Change.(*ReservationEvent)
	return ok && both && a.Seq == b.Seq && one.Kind == other.Kind && one.Reservation == other.Reservation
}
