package debugpage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// lists are what a page shows, as of one look.
type lists struct {
	at           time.Time
	cost         *atomic.Int64 // ns that reading them took, and telling viewers of them
	of           Source
	stats        scheduler.Stats
	nodes        []scheduler.NodeInfo
	quotas       []scheduler.QuotaInfo
	reservations []reservation.Reservation
	inventory    scheduler.Inventory
	events       []scheduler.Event
	err          error // why they are not whole

	// stamp grows with every look that reads lists: it is the version of the state, or
	// more if there was a look at that version before.
	stamp   uint64
	rows    map[string]list // by the part of the page
	window  window          // of the reservations
	gone    departed
	cluster []string // what is wrong with it
}

// Lists are shown for at least so long though the state has changed, and read with so
// much patience: a journal may hang, and the page is to say so. Reading them, and working
// out what viewers do not have, takes one part in workShare of the time at most, as long
// as nobody has to see what is older than maxStale for that.
const (
	maxAge    = 500 * time.Millisecond
	maxStale  = 5 * time.Second
	workShare = 25
	patience  = 2 * time.Second
)

var errUnread = errors.New("debugpage: the journal is being read")

// look returns the lists, those of another viewer if they are new enough.
func (p *Page) look(ctx context.Context) *lists {
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	select {
	case p.looking <- struct{}{}:
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return &lists{at: p.cfg.Now(), of: p.state(), err: ctx.Err()}
	}
	now, of := p.cfg.Now(), p.state()
	l := &lists{at: now, of: of}
	if of == nil {
		l.err = errUnread
		return l
	}
	l.stats = of.Stats() // never waits
	before := p.latest
	if before != nil && before.serves(l) {
		kept := *before
		kept.stats = l.stats
		return &kept
	}
	start := time.Now()
	if l.read(ctx); l.err == nil {
		l.readEvents(ctx, before)
		l.compare(before)
		l.cost = new(atomic.Int64)
		l.cost.Add(int64(time.Since(start)))
		p.latest = l
		p.trend.add(now, l.inventory.Supplies)
	}
	return l
}

// serves reports whether the lists are still those that somebody who looks now is to
// see.
func (l *lists) serves(now *lists) bool {
	if l.of != now.of || now.stats.Closed != nil {
		return false
	}
	age := now.at.Sub(l.at)
	return l.stats.Version == now.stats.Version && l.stats.Durable == now.stats.Durable ||
		age >= 0 && age < l.maxAge()
}

// maxAge is for how long the lists are shown though the state has changed.
func (l *lists) maxAge() time.Duration {
	return min(maxStale, max(maxAge, workShare*time.Duration(l.cost.Load())))
}

func (l *lists) read(ctx context.Context) {
	var errs [4]error
	l.nodes, errs[0] = l.of.Nodes(ctx)
	l.quotas, errs[1] = l.of.Quotas(ctx)
	l.reservations, errs[2] = l.of.Reservations(ctx)
	l.inventory, errs[3] = l.of.Inventory(ctx)
	l.err = errors.Join(errs[:]...)
}

// compare makes the rows of the lists, and keeps those that were there before.
func (l *lists) compare(before *lists) {
	l.cluster, l.window = l.ofCluster(), windowOf(l.at, l.reservations)
	l.stamp = l.stats.Version
	old := make(map[string]list)
	if before != nil {
		old, l.stamp = before.rows, max(l.stamp, before.stamp+1)
	}
	from := func(part, template string) list {
		if was, found := old[part]; found {
			return was
		}
		return list{template: template, order: l.stamp}
	}
	nodes := from("nodes", "node-row").next(l.stamp, len(l.nodes),
		func(i int) string { return l.nodes[i].ID }, func(i int) any { return l.nodes[i] },
		func(old any, i int) bool { return sameNode(old.(scheduler.NodeInfo), l.nodes[i]) })
	tree := treeOf(l.quotas)
	quotas := from("quotas", "quota-row").next(l.stamp, len(tree),
		func(i int) string { return tree[i].Namespace }, func(i int) any { return tree[i] },
		func(old any, i int) bool { return reflect.DeepEqual(old, tree[i]) })
	booked := func(i int) *booking { return &booking{l.reservations[i], l.window} }
	reservations := from("reservations", "reservation-row").next(l.stamp, len(l.reservations),
		func(i int) string { return l.reservations[i].Spec.ID }, func(i int) any { return booked(i) },
		func(old any, i int) bool { return reflect.DeepEqual(old, booked(i)) })
	lines := linesOf(l.events)
	events := from("events", "event-row").next(l.stamp, len(lines),
		func(i int) string { return lines[i].Key }, func(i int) any { return lines[i] },
		func(any, int) bool { return true }) // what has happened stays so
	l.rows = map[string]list{"nodes": nodes, "quotas": quotas, "reservations": reservations, "events": events}
	l.gone = before.departures(l)
}

// sameNode reports whether two descriptions of a node show the same. What the node was
// described as cannot change without its Version, or that of its joining.
func sameNode(a, b scheduler.NodeInfo) bool {
	return a.Version == b.Version && a.Join == b.Join && a.State == b.State && a.Instances == b.Instances &&
		a.Allocated.Equal(b.Allocated) && a.Held.Equal(b.Held) && slices.Equal(a.DeviceFree, b.DeviceFree)
}

// line is an event with a key of its own.
type line struct {
	Key string
	scheduler.Event
}

// linesOf gives each event a key: its Seq, and for all but the first event of an entry
// its place in that.
func linesOf(events []scheduler.Event) []line {
	lines := make([]line, len(events))
	place := 0
	for i := len(events) - 1; i >= 0; i-- { // they stand with the last first
		if place++; i == len(events)-1 || events[i].Seq != events[i+1].Seq {
			place = 0
		}
		key := fmt.Sprint(events[i].Seq)
		if place > 0 {
			key = fmt.Sprint(key, "-", place)
		}
		lines[i] = line{key, events[i]}
	}
	return lines
}

// departed are the nodes that have gone, as far back as they are remembered.
type departed struct {
	nodes []departure
	since uint64 // who has seen no more than this stamp may have missed some
}

type departure struct {
	id    string
	stamp uint64
}

// maxDeparted is how many departures are remembered.
const maxDeparted = 1000

// departures adds those between two looks, of which the first may be none.
func (l *lists) departures(now *lists) departed {
	if l == nil {
		return departed{since: now.stamp}
	}
	all := departed{nodes: slices.Clone(l.gone.nodes), since: l.gone.since}
	if now.rows["nodes"].order == now.stamp {
		for _, n := range l.nodes {
			if _, found := slices.BinarySearchFunc(now.nodes, n.ID, byID); !found {
				all.nodes = append(all.nodes, departure{n.ID, now.stamp})
			}
		}
	}
	if more := len(all.nodes) - maxDeparted; more > 0 {
		all.since = all.nodes[more-1].stamp
		all.nodes = slices.Delete(all.nodes, 0, more)
	}
	return all
}

func byID(n scheduler.NodeInfo, id string) int { return cmp.Compare(n.ID, id) }

// maxEvents is how many entries back the page shows what happened.
const maxEvents = 1000

// readEvents reads what has happened since another look, which may be none: from memory,
// or where that does not go back so far from the journal. What is not read in maxAge is
// left out.
func (l *lists) readEvents(ctx context.Context, before *lists) {
	last := l.stats.Durable
	from := last - min(last, maxEvents)
	var known []scheduler.Event
	if before != nil && before.stats.Durable <= last { // else it was another history
		from, known = max(from, before.stats.Durable), before.events
	}
	ended, end := context.WithCancel(ctx)
	end() // wait for nothing, and read no journal
	fresh := eventsBetween(ended, end, l.of, from, last)
	if entries := uint64(l.stats.Checkpoint.Entries); len(fresh) == 0 && from < last && entries > 0 {
		reading, end := context.WithTimeout(ctx, maxAge)
		fresh = eventsBetween(reading, end, l.of, max(from, last-min(last, entries)), last)
		end()
	}
	slices.Reverse(fresh)
	l.events = append(fresh, known...)
	l.events = l.events[:min(len(l.events), maxEvents)]
}

// eventsBetween returns the events of the entries after one and up to another, and ends
// its context once it has them.
func eventsBetween(ctx context.Context, end context.CancelFunc, of Source, from, last uint64) (events []scheduler.Event) {
	for e := range of.Watch(ctx, from) {
		if e.Seq > last {
			break
		}
		if events = append(events, e); e.Seq == last {
			end() // with the other events of the entry
		}
	}
	return events
}
