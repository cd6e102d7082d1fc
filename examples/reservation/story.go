package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// story is a morning on a book, told line by line.
type story struct {
	text     strings.Builder
	now      time.Time
	book     *reservation.Book
	timeline timeline
}

func at(hour, minute int) time.Time { return time.Date(2030, 1, 7, hour, minute, 0, 0, time.UTC) }

func cores(n int64) placement.Resources { return placement.Resources{CPU: n * placement.Core} }

func newStory() (*story, error) {
	s := &story{now: at(8, 0), timeline: timeline{
		from: at(8, 0), to: at(12, 0), step: time.Hour, cell: 5 * time.Minute, layout: "15:04",
	}}
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return s.now }})
	if err != nil {
		return nil, err
	}
	s.book = book
	for _, id := range []string{"n1", "n2"} {
		if err := book.SetNode(placement.Node{ID: id, Capacity: cores(8)}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// tell runs the whole morning.
func (s *story) tell() error {
	for _, chapter := range []func() error{s.promise, s.backfill, s.launch, s.longer, s.end} {
		if err := chapter(); err != nil {
			return err
		}
	}
	return nil
}

// promise reserves for the launch in an hour.
func (s *story) promise() error {
	launch, err := s.book.Reserve(reservation.Spec{
		ID: "launch", Namespace: "shop", Count: 2, Shape: cores(6), Start: at(9, 0), Duration: time.Hour,
		Preferences: placement.Preferences{}.Across(placement.AtMostPer("", 1)), // on different nodes
	})
	if err != nil {
		return err
	}
	s.say("reserve launch: %d × %s from %s to %s, on %s and %s", launch.Params.Count, launch.Params.Shape,
		clock(launch.Params.Start), clock(launch.Params.End), launch.Slots[0].Node, launch.Slots[1].Node)
	return nil
}

// backfill uses the hour before the launch.
func (s *story) backfill() error {
	job := placement.Request{ID: "nightly", Namespace: "batch", Resources: cores(8), Duration: 45 * time.Minute}
	if err := s.place(job); err != nil {
		return err
	}
	job.ID, job.Duration = "training", 2*time.Hour
	var refused *reservation.RefusedError
	if _, err := s.book.Place(job); !errors.As(err, &refused) {
		return fmt.Errorf("training was not refused: %w", err)
	}
	s.say("place training: refused, it would run into %s on %s; at most %s fit so long, all of it from %s",
		refused.Holders[0].ID, refused.Node, refused.Largest, clock(refused.Earliest))
	job.ID, job.Resources = "small", refused.Largest
	if err := s.place(job); err != nil {
		return err
	}
	s.goTo(at(8, 40))
	return s.remove("nightly")
}

// launch claims what was promised.
func (s *story) launch() error {
	if _, _, err := s.book.Claim("launch", web("web-1")); !errors.Is(err, reservation.ErrState) {
		return fmt.Errorf("claimed too early: %w", err)
	}
	s.say("claim web-1: refused, launch has not begun")
	s.goTo(at(9, 0))
	for _, id := range []string{"web-1", "web-2"} {
		node, claim, err := s.book.Claim("launch", web(id))
		if err != nil {
			return err
		}
		s.timeline.begin(node, id, s.now)
		s.say("claim %s: %s of the slot on %s", id, claim.Held.Resources, node)
	}
	return nil
}

func web(id string) placement.Request {
	return placement.Request{ID: id, Namespace: "shop", Resources: cores(4)}
}

// longer extends the launch, once as far as it goes.
func (s *story) longer() error {
	s.goTo(at(9, 50))
	next := reservation.Spec{
		ID: "next", Namespace: "batch", Count: 1, Node: "n2", Shape: cores(8), Start: at(11, 0), Duration: 30 * time.Minute,
	}
	if _, err := s.book.Reserve(next); err != nil {
		return err
	}
	s.say("reserve next: 1 × %s from 11:00 to 11:30 on n2", next.Shape)
	var refused *reservation.RefusedError
	if _, err := s.book.Extend("launch", at(11, 15)); !errors.As(err, &refused) {
		return fmt.Errorf("the extension was not refused: %w", err)
	}
	s.say("extend launch to 11:15: refused, %s has %s by then", refused.Holders[0].ID, refused.Node)
	if _, err := s.book.Extend("launch", at(10, 45)); err != nil {
		return err
	}
	s.say("extend launch to 10:45")
	return nil
}

// end lets the launch expire: its instances are reported and drained.
func (s *story) end() error {
	s.goTo(at(10, 45))
	for _, id := range []string{"web-1", "small"} {
		if err := s.remove(id); err != nil {
			return err
		}
	}
	s.goTo(at(10, 55))
	if err := s.remove("web-2"); err != nil {
		return err
	}
	s.goTo(at(12, 0))
	return nil
}

func (s *story) place(req placement.Request) error {
	stay, err := s.book.Place(req)
	if err != nil {
		return err
	}
	s.timeline.begin(stay.Node, req.ID, s.now)
	s.say("place %s: %s on %s until %s", req.ID, req.Resources, stay.Node, clock(stay.Window.End))
	return nil
}

func (s *story) remove(id string) error {
	s.timeline.end(id, s.now)
	s.say("%s is gone", id)
	return s.book.Remove(id)
}

// goTo lets time pass and tells what falls due on the way, as a host would
// that sleeps until each deadline.
func (s *story) goTo(when time.Time) {
	s.hold()
	for {
		next, ok := s.book.NextDeadline()
		if !ok || next.After(when) {
			break
		}
		s.now = next
		for _, e := range s.book.Sweep() {
			subject := e.Reservation
			if e.Instance != "" {
				subject = e.Instance
				s.timeline.overstay(e.Instance, e.At)
			}
			s.say("* %s %s", subject, e.Kind)
		}
	}
	s.now = when
}

// hold notes on the timeline what is held as things stand.
func (s *story) hold() {
	for r := range s.book.Reservations() {
		for _, slot := range r.Slots {
			s.timeline.hold(slot.Node, r.Spec.ID, r.Params.Start, r.Params.End)
		}
	}
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(&s.text, "%s  %s\n", clock(s.now), fmt.Sprintf(format, args...))
}

func clock(t time.Time) string { return t.Format("15:04") }
