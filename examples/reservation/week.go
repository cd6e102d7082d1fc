package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // for machines that do not know the place

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// place has the clocks of both teams. They are put forward on the Sunday.
const place = "Europe/Berlin"

// week is a week of two teams that share a limit of 8 cores, told line by line.
type week struct {
	text     strings.Builder
	ctx      context.Context
	loc      *time.Location
	now      time.Time
	s        *scheduler.Scheduler
	timeline timeline
}

// on returns an hour of a day of the week, Monday being the 25th.
func (w *week) on(day, hour int) time.Time { return time.Date(2030, 3, day, hour, 0, 0, 0, w.loc) }

func runWeek(ctx context.Context) (string, error) {
	loc, err := time.LoadLocation(place)
	if err != nil {
		return "", err
	}
	w := &week{ctx: ctx, loc: loc}
	w.now = w.on(25, 8)
	w.timeline = timeline{from: w.on(25, 0), to: w.on(32, 0).Add(time.Hour), step: 24 * time.Hour, cell: 2 * time.Hour, layout: "Mon"}
	w.s, err = scheduler.New(scheduler.Config{
		Now: func() time.Time { return w.now }, Hooks: scheduler.Hooks{Event: w.hear},
	})
	for _, chapter := range []func() error{w.share, w.refuse, w.close, w.repeat, w.lend, w.evening} {
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = chapter()
		}
	}
	w.text.WriteString("\n" + w.timeline.text())
	return w.text.String(), err
}

// share lets both teams book a day each: together they would be twice the limit, at
// no time are they more than it.
func (w *week) share() error {
	limits := map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}}
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: limits}, {Namespace: "red", Parent: "org"}, {Namespace: "blue", Parent: "org"},
	} {
		if _, err := w.s.CreateQuota(w.ctx, spec); err != nil {
			return err
		}
	}
	for _, id := range []string{"n1", "n2"} {
		if err := w.s.AddNode(w.ctx, placement.Node{ID: id, Capacity: cores(8)}); err != nil {
			return err
		}
	}
	err := errors.Join(w.reserve(w.day("red-tue", "red", 26)), w.reserve(w.day("blue-wed", "blue", 27)))
	peak, usageErr := w.s.QuotaUsageOver(w.ctx, "org", w.now, w.on(31, 0))
	if err = errors.Join(err, usageErr); err == nil {
		w.say("org uses at most %d of %d cores at one time", peak[1].Used/placement.Core, peak[1].Soft/placement.Core)
	}
	return err
}

// day is 8 cores from nine to five, which others may use while they are idle.
func (w *week) day(id, team string, day int) reservation.Spec {
	return reservation.Spec{
		ID: id, Namespace: team, Count: 1, Shape: cores(8), Start: w.on(day, 9), End: w.on(day, 17),
		Lend: true, Notice: 30 * time.Minute,
	}
}

// refuse asks for what the limit does not give, and books it at the first time at
// which it does.
func (w *week) refuse() error {
	spec := reservation.Spec{ID: "red-wed", Namespace: "red", Count: 1, Shape: cores(4), Start: w.on(27, 12), Duration: 4 * time.Hour}
	_, err := w.s.Reserve(w.ctx, spec)
	var exceeded *quota.ExceededError
	if !errors.As(err, &exceeded) {
		return fmt.Errorf("red-wed was not refused: %w", err)
	}
	limit, earliest := exceeded.Verdict.Violations[0], exceeded.Verdict.Earliest()
	w.say("reserve red-wed: refused, %s lacks %d cores from %s on; it would do from %s", limit.Namespace,
		limit.Shortfall/placement.Core, w.clock(limit.At), w.clock(earliest))
	spec.Start = earliest
	return w.reserve(spec)
}

// close closes a node for an evening, and explains what a reservation would find.
func (w *week) close() error {
	err := w.reserve(reservation.Spec{
		ID: "repair", Node: "n1", Maintenance: true, Start: w.on(28, 18), End: w.on(28, 22), Notice: time.Hour,
	})
	if err != nil {
		return err
	}
	late := reservation.Spec{ID: "blue-thu", Namespace: "blue", Count: 1, Shape: cores(8), Start: w.on(28, 20), Duration: 4 * time.Hour}
	e, err := w.s.ExplainReservation(w.ctx, late)
	if err != nil {
		return err
	}
	w.say("explain blue-thu: it would be held on %s", e.Reservation.Slots[0].Node)
	for _, n := range e.Nodes {
		if n.Slots == 0 {
			w.say("  not on %s: %s has it", n.Node, n.Holders[0].ID)
		}
	}
	return nil
}

// repeat books the early hours of Sundays. On the first of them an hour is missing.
func (w *week) repeat() error {
	_, err := w.s.Reserve(w.ctx, reservation.Spec{
		ID: "backup", Namespace: "blue", Count: 1, Shape: cores(2), Node: "n2", Start: w.on(31, 1), End: w.on(31, 4),
		Repeat: reservation.Repeat{Every: reservation.Weekly, Until: w.on(31+8, 0), Location: place},
	})
	if err != nil {
		return err
	}
	all, err := w.s.Reservations(w.ctx)
	for _, r := range all {
		if r.Series == "backup" {
			w.say("%s is from %s to %s, %s", r.Spec.ID, w.clock(r.Params.Start), w.clock(r.Params.End), r.Params.End.Sub(r.Params.Start))
		}
	}
	return err
}

// lend lets batch work stand in the idle slot of red, until red comes for it.
func (w *week) lend() error {
	err := errors.Join(w.goTo(w.on(26, 9)), w.start("nightly", "n2"), w.start("batch", ""), w.goTo(w.on(26, 12)))
	if err != nil {
		return err
	}
	web := placement.Request{ID: "web", Namespace: "red", Resources: cores(8), Duration: 3 * time.Hour}
	_, err = w.s.PlaceFromReservation(w.ctx, "", web) // from any of red
	var short *reservation.ShortError
	if !errors.As(err, &short) || !errors.Is(err, reservation.ErrWaiting) {
		return fmt.Errorf("web did not have to wait: %w", err)
	}
	w.say("claim web: waits for %s until %s", strings.Join(short.Awaits, ", "), w.clock(short.Due))
	if err := errors.Join(w.goTo(w.on(26, 12).Add(20*time.Minute)), w.stop("batch")); err != nil {
		return err
	}
	d, err := w.s.PlaceFromReservation(w.ctx, "", web)
	if err != nil {
		return err
	}
	w.timeline.begin(d.NodeID, "web", w.now)
	w.say("claim web: has the slot on %s", d.NodeID)
	return errors.Join(w.goTo(w.on(26, 15)), w.stop("web"))
}

// start runs something that leaves when it is asked to.
func (w *week) start(id, node string) error {
	req := placement.Request{ID: id, Namespace: "batch", Resources: cores(8), Yield: true}
	var d scheduler.Decision
	var err error
	if node != "" {
		d, err = w.s.Allocate(w.ctx, node, req)
	} else {
		d, err = w.s.Place(w.ctx, req)
	}
	if err == nil {
		w.timeline.begin(d.NodeID, id, w.now)
		w.say("place %s on %s, until it is asked to leave", id, d.NodeID)
	}
	return err
}

func (w *week) stop(id string) error {
	w.timeline.end(id, w.now)
	w.say("%s is gone", id)
	return w.s.Release(w.ctx, id)
}

// evening lets the rest of the week pass. What runs on n1 on Thursday is told in time.
func (w *week) evening() error {
	err := errors.Join(w.goTo(w.on(28, 9)), w.start("report", "n1"), w.goTo(w.on(28, 17)))
	if err != nil {
		return err
	}
	return errors.Join(w.stop("report"), w.goTo(w.on(31, 0)), w.stop("nightly"), w.goTo(w.on(32, 0)))
}

func (w *week) reserve(spec reservation.Spec) error {
	r, err := w.s.Reserve(w.ctx, spec)
	if err == nil {
		w.say("reserve %s on %s from %s to %s", spec.ID, r.Slots[0].Node, w.clock(r.Params.Start), w.clock(r.Params.End))
	}
	return err
}

// goTo lets time pass, and the scheduler do what falls due at its own instant.
func (w *week) goTo(when time.Time) error {
	all, err := w.s.Reservations(w.ctx)
	for _, r := range all {
		for _, slot := range r.Slots {
			if r.Params.Start.Before(w.timeline.to) {
				w.timeline.hold(slot.Node, cmp.Or(r.Series, r.Spec.ID), r.Params.Start, r.Params.End)
			}
		}
	}
	for err == nil {
		next, ok := w.s.NextDeadline()
		if !ok || next.After(when) {
			break
		}
		w.now = next
		_, err = w.s.Sweep(w.ctx)
	}
	w.now = when
	return err
}

// hear tells what the scheduler asks for.
func (w *week) hear(e scheduler.Event) {
	r, ok := e.Change.(*scheduler.ReservationEvent)
	switch {
	case ok && r.Kind == reservation.YieldDue:
		w.say("* %s asks %s to leave %s by %s", r.Reservation, r.Instance, r.Node, w.clock(r.Due))
	case ok && r.Kind == reservation.Closing:
		w.say("* %s closes %s from %s on, and it takes nothing more", r.Reservation, r.Node, w.clock(r.Due))
	}
}

func (w *week) say(format string, args ...any) {
	fmt.Fprintf(&w.text, "%s  %s\n", w.clock(w.now), fmt.Sprintf(format, args...))
}

func (w *week) clock(t time.Time) string { return t.In(w.loc).Format("Mon 15:04") }
