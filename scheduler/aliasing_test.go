package scheduler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// scribble overwrites all memory that a value refers to and that its holder
// can reach: elements of slices, what pointers point to, maps.
func scribble(v any) { scribbleAll(reflect.ValueOf(v)) }

func scribbleAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			scribbleAll(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scribbleAll(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribbleAll(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			scribbleAll(v.MapIndex(key))
		}
		v.Clear()
	default:
		if v.CanSet() {
			v.SetZero()
		}
	}
}

// history makes calls of every kind whose arguments or results refer to memory
// and gives both, and errors, to after.
func history(t *testing.T, s *scheduler.Scheduler, after func(any)) {
	t.Helper()
	ctx := t.Context()
	done := func(err error, values ...any) {
		require.NoError(t, err)
		for _, v := range values {
			after(v)
		}
	}
	newNode := func(id string) placement.Node {
		return placement.Node{
			ID: id, Capacity: placement.Resources{CPU: 16 * placement.Core, Custom: map[string]int64{"fpga": 8}},
			Reserved: placement.Resources{Custom: map[string]int64{"fpga": 1}},
			Devices:  placement.Devices{Count: 5, Model: "m", Broken: []int{4}}, DynamicPorts: placement.PortRange{First: 8000, Last: 9000},
			ReservedPorts: []placement.Port{{Number: 22}},
			Labels:        map[string]string{"zone": "a", "disk": "ssd"},
			Taints:        []placement.Taint{{Key: "soft", Effect: placement.PreferNoSchedule}},
		}
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		n := newNode(id)
		done(s.AddNode(ctx, n), &n)
	}
	done(s.AddTaint(ctx, "n1", placement.Taint{Key: "k", Effect: placement.NoSchedule}))
	done(s.SetLabel(ctx, "n2", "rack", "r"))
	updated := newNode("n3")
	updated.Labels["rack"] = "s"
	over, err := s.UpdateNode(ctx, updated)
	done(err, &updated, &over)

	mix := []scheduler.WorkloadClass{{Resources: placement.Resources{GPU: placement.Device}, Models: []string{"m"}, Count: 3}}
	done(s.SetWorkload(ctx, mix), &mix)
	spec := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"cpu": {Soft: 30000}, "fpga": {Soft: 9}}}
	usage, err := s.CreateQuota(ctx, spec)
	done(err, &spec, &usage)
	info, err := s.Quota(ctx, "ns")
	done(err, &info)

	newRequest := func(id string) placement.Request {
		return placement.Request{
			ID: id, Namespace: "ns", Group: "g", Labels: map[string]string{"app": "web"}, Ports: []placement.Port{{Number: 80}, {Number: 443}}, DynamicPorts: 2,
			Resources: placement.Resources{CPU: placement.Core, GPU: 2 * placement.Device, Custom: map[string]int64{"fpga": 1}},
			Preferences: placement.Use(placement.BinPack).
				Require(placement.In("zone", "a", "b")).Prefer(placement.Equal("disk", "ssd"), 50).
				Tolerate(placement.TolerateExists("k")),
		}
	}
	for _, id := range []string{"a", "b"} {
		req := newRequest(id)
		planned, err := s.Schedule(ctx, req)
		done(err, &planned)
		d, err := s.Place(ctx, req)
		done(err, &req, &d)
		again := newRequest(id)
		d, err = s.Place(ctx, again)
		done(err, &again, &d)
	}
	to := newRequest("a").Resources
	to.Custom["fpga"] = 2
	d, err := s.Resize(ctx, "a", to)
	done(err, &to, &d)

	held := reservation.Spec{
		ID: "r", Namespace: "ns", Owners: []string{"ns", "other"}, Count: 2, Duration: time.Hour,
		Shape:       placement.Resources{CPU: placement.Core, GPU: placement.Device, Custom: map[string]int64{"fpga": 1}},
		Preferences: placement.Preferences{Required: []placement.Constraint{placement.Exists("zone")}},
	}
	r, err := s.Reserve(ctx, held)
	done(err, &held, &r)
	claim := newRequest("claim")
	claim.Ports = nil
	claim.Resources = placement.Resources{CPU: 500, Custom: map[string]int64{"fpga": 1}}
	d, err = s.PlaceFromReservation(ctx, "r", claim)
	done(err, &claim, &d)
	r, err = s.Reservation(ctx, "r")
	done(err, &r)

	huge := newRequest("huge")
	huge.Resources.CPU = 100 * placement.Core
	_, err = s.Place(ctx, huge)
	require.Error(t, err)
	after(err)
	explained, err := s.Explain(ctx, huge)
	done(err, &huge, &explained)
	explained, err = s.Explain(ctx, newRequest("a"))
	done(err, &explained)

	report := []scheduler.Report{{Request: newRequest("adopted"), Devices: []int{1, 2}, DynamicPorts: []uint16{8500, 8501}}}
	n := newNode("n4")
	adoption, err := s.AdoptNode(ctx, n, report)
	done(err, &n, &report, &adoption)

	for range 2 { // what was read is what is there, and is read again
		for _, list := range []any{
			listed(t, s.Nodes), listed(t, s.Allocations), listed(t, s.Quotas), listed(t, s.Reservations),
		} {
			after(list)
		}
		a, err := s.Allocation(ctx, "a")
		done(err, &a)
		node, err := s.Node(ctx, "n1")
		done(err, &node)
	}
	require.NoError(t, s.MarkLost(ctx, "n1"))
	gone, err := s.RemoveNode(ctx, "n2")
	done(err, &gone)
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.NoError(t, s.VerifyQuota(ctx))
}

// TestNothingIsShared has a caller overwrite all that it passed in and all
// that it got, errors included, after each call. State, journal and events are
// those of a caller that leaves it alone.
func TestNothingIsShared(t *testing.T) {
	for _, durable := range []bool{false, true} {
		var states, journals, events [2]string
		for i, after := range []func(any){func(any) {}, scribble} {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			cfg := scheduler.Config{
				Now:      func() time.Time { return now },
				Weights:  map[placement.ResourceName]int64{"fpga": 3},
				Workload: []scheduler.WorkloadClass{{Resources: placement.Resources{GPU: 500}, Models: []string{"m"}, Count: 1}},
			}
			journal := new(scheduler.MemoryJournal)
			open := func() (*scheduler.Scheduler, error) { return scheduler.New(cfg) }
			if durable {
				cfg.Journal = journal
				open = func() (*scheduler.Scheduler, error) { return scheduler.Open(t.Context(), cfg) }
			}
			s, err := open()
			require.NoError(t, err)
			passed := cfg
			passed.Now, passed.Journal = nil, nil
			after(&passed)
			history(t, s, after)
			states[i] = snapshot(t, s)
			for _, r := range recordsOf(t, journal) {
				journals[i] += string(r.Data) + "\n"
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if !durable {
				cancel()
			}
			for e := range s.Watch(ctx, 0) {
				change, err := json.Marshal(e.Change)
				require.NoError(t, err)
				events[i] += fmt.Sprintf("%T %s\n", e.Change, change)
				if e.Seq == s.Version() {
					cancel()
				}
			}
			require.Equal(t, durable, events[i] != "")
			require.Equal(t, states[i], snapshot(t, s))
		}
		require.Equal(t, states[0], states[1])
		require.Equal(t, journals[0], journals[1])
		require.Equal(t, events[0], events[1])
	}
}
