// Whatif asks three questions about a fleet of 2,000 hosts that runs 20,000 sessions,
// each on a fork: would 300 more sessions fit if a zone were lost, can these forty hosts
// be drained, and how many sessions of a shape still fit. The second answer becomes a
// plan that is committed as one entry.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const (
	hosts    = 2_000
	sessions = 20_000
)

func run(ctx context.Context, out io.Writer) error {
	s, err := fleet(ctx)
	if err != nil {
		return err
	}
	for _, ask := range []func(context.Context, *scheduler.Scheduler, io.Writer) error{loseZone, drain, howMany} {
		if err := ask(ctx, s, out); err != nil {
			return err
		}
	}
	return nil
}

// fleet is 2,000 hosts in three zones, with ten sessions on each on average.
func fleet(ctx context.Context) (*scheduler.Scheduler, error) {
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if err := s.AddNode(ctx, placement.Node{
			ID:       host(i),
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
			Labels:   map[string]string{"zone": zone(i)},
		}); err != nil {
			return nil, err
		}
	}
	for i := range sessions {
		if _, err := s.Place(ctx, session(fmt.Sprintf("s-%05d", i), 1+int64(i%3))); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func host(i int) string { return fmt.Sprintf("h-%04d", i) }
func zone(i int) string { return string("abc"[i%3]) }

func session(id string, cores int64) placement.Request {
	return placement.Request{
		ID: id, Namespace: "sessions", Group: "session",
		Resources:   placement.Resources{CPU: cores * placement.Core, Memory: cores * 4 * placement.GiB},
		Preferences: placement.Use(placement.Spread),
	}
}

// loseZone asks whether what runs in zone b, and 300 sessions more, would find room in
// the other zones.
func loseZone(ctx context.Context, s *scheduler.Scheduler, out io.Writer) error {
	f, err := s.Fork(ctx)
	if err != nil {
		return err
	}
	var lost []placement.Request
	for i := range hosts {
		if zone(i) != "b" {
			continue
		}
		on, err := f.AllocationsOn(ctx, host(i))
		if err != nil {
			return err
		}
		for _, a := range on {
			lost = append(lost, a.Request)
		}
		if err := f.MarkLost(ctx, host(i)); err != nil {
			return err
		}
	}
	again, err := placed(f.PlaceAll(ctx, lost...))
	if err != nil {
		return err
	}
	var more []placement.Request
	for i := range 300 {
		more = append(more, session(fmt.Sprintf("more-%03d", i), 2))
	}
	fit, err := placed(f.PlaceAll(ctx, more...))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "if zone b is lost: %d of its %d sessions find room, and %d of 300 more\n", again, len(lost), fit)
	return err
}

// placed counts the requests that were placed.
func placed(results []scheduler.PlaceResult, err error) (n int, _ error) {
	for _, r := range results {
		switch {
		case r.Err == nil:
			n++
		case !errors.Is(r.Err, scheduler.ErrUnschedulable):
			return 0, r.Err
		}
	}
	return n, err
}

// drain moves the sessions of the first forty hosts elsewhere, on a fork, and commits
// that. A host whose sessions do not all fit is left as it is.
func drain(ctx context.Context, s *scheduler.Scheduler, out io.Writer) error {
	f, err := s.Fork(ctx)
	if err != nil {
		return err
	}
	for i := range 40 { // first, so that none goes from one to another
		if err := f.Cordon(ctx, host(i)); err != nil {
			return err
		}
	}
	drained := 0
	for i := range 40 {
		mark := f.Mark()
		switch err := empty(ctx, f, host(i)); {
		case err == nil:
			drained++
		case errors.Is(err, scheduler.ErrUnschedulable):
			if err := f.Rollback(mark); err != nil {
				return err
			}
		default:
			return err
		}
	}
	done, err := s.Commit(ctx, f.Plan())
	if err != nil {
		return err // a scheduler.PlanError names what has come in between: ask again
	}
	_, err = fmt.Fprintf(out, "drained: %d of 40 hosts, %d sessions have moved\n", drained, len(done.Decisions))
	return err
}

// empty moves everything that runs on a host to other ones. What was there leaves, and
// the host says so once it is gone, with ReleaseGeneration.
func empty(ctx context.Context, f *scheduler.Fork, hostID string) error {
	on, err := f.AllocationsOn(ctx, hostID)
	if err != nil {
		return err
	}
	for _, a := range on {
		if _, err := f.Move(ctx, a.Request.ID, ""); err != nil {
			return err
		}
	}
	return nil
}

// howMany asks how many sessions of eight cores still fit.
func howMany(ctx context.Context, s *scheduler.Scheduler, out io.Writer) error {
	f, err := s.Fork(ctx)
	if err != nil {
		return err
	}
	fit, err := f.Fits(ctx, session("large", 8), 100_000)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "sessions of eight cores that still fit: %d\n", fit)
	return err
}
