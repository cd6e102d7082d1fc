package scheduler

import (
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// deviceLoad is what somebody takes of each of some GPUs of a node, and of a
// custom dimension, from one instant to another.
type deviceLoad struct {
	devices    []int
	each, fpga int64
	from, to   time.Time // zero for ever
	yields     bool      // counts only now
}

// deviceNode is a node as a clerk with pencil and paper sees it: everything
// that anybody was told of it, device by device.
type deviceNode struct {
	NodeInfo
	now    time.Time
	loads  []deviceLoad
	broken bool // somebody is there who promised not to be
}

func end(w time.Time) time.Time {
	if w.IsZero() {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return w
}

func share(gpu int64) int64 { return min(gpu, placement.Device) }

// deviceNodes reads the whole cluster from what the scheduler shows.
func deviceNodes(t testHelper, s *Scheduler, now time.Time) []*deviceNode {
	var nodes []*deviceNode
	at := make(map[string]*deviceNode)
	for _, n := range listed(t, s.Nodes) {
		at[n.ID] = &deviceNode{NodeInfo: n, now: now}
		nodes = append(nodes, at[n.ID])
	}
	slots := make(map[string]deviceLoad) // by the instance that stands in one
	for _, r := range listed(t, s.Reservations) {
		slot := deviceLoad{
			each: share(r.Params.Shape.GPU), fpga: r.Params.Shape.Custom["fpga"], from: r.Params.Start, to: r.Params.End,
		}
		switch r.Spec.AtEnd {
		case reservation.Keep:
			slot.to = time.Time{}
		case reservation.Evict:
			slot.to = slot.to.Add(r.Spec.Grace)
		case reservation.Drain:
		}
		switch r.Phase {
		case reservation.Expiring: // holds nothing any more, but its instances may stay
			slot.each, slot.fpga = 0, 0
		case reservation.Ended: // and these count until they are gone, whatever they promised
			slot = deviceLoad{}
		case reservation.Displaced:
			continue
		case reservation.Pending, reservation.Active, reservation.Degraded:
		}
		for _, held := range r.Slots {
			for _, c := range held.Claims {
				beyond := slot // of what the instance takes beyond the slot
				beyond.each, beyond.fpga = c.Excess.Resources.GPU, c.Excess.Resources.Custom["fpga"]
				if r.Phase == reservation.Expiring || r.Phase == reservation.Ended {
					beyond.each, beyond.fpga = c.Held.Resources.GPU+beyond.each, c.Held.Resources.Custom["fpga"]+beyond.fpga
				}
				slots[c.ID] = beyond
			}
			if slot.devices = held.Devices; held.Node != "" {
				at[held.Node].loads = append(at[held.Node].loads, slot)
			}
		}
	}
	for _, a := range listed(t, s.Allocations) {
		load := deviceLoad{
			devices: a.Devices, each: share(a.Request.Resources.GPU), fpga: a.Request.Resources.Custom["fpga"], from: a.Placed,
		}
		if a.State == Running && !a.Overstayed && a.Request.Duration > 0 {
			load.to = a.Placed.Add(a.Request.Duration)
		}
		n := at[a.NodeID]
		if beyond, in := slots[a.Request.ID]; in && a.State == Running {
			if load.to.After(end(beyond.to)) { // it said that it outlasts its slot, and then counts as a whole
				after := load
				after.from = beyond.to
				n.loads = append(n.loads, after)
			}
			load.to, load.each, load.fpga = beyond.to, share(beyond.each), beyond.fpga
		} else if a.Request.Yield && a.State == Running {
			load.yields = true
		}
		n.broken = n.broken || a.Overstayed || a.Request.Yield || a.State != Running
		n.loads = append(n.loads, load)
	}
	return nodes
}

// left returns what is free of each GPU and of the custom dimension at every
// instant of a window.
func (n *deviceNode) left(from, to time.Time) (devices []int64, fpga int64) {
	instants := []time.Time{from}
	for _, l := range n.loads {
		if l.from.After(from) && l.from.Before(end(to)) {
			instants = append(instants, l.from)
		}
	}
	devices, fpga = make([]int64, n.Devices.Count), n.Total.Custom["fpga"]
	for i := range devices {
		devices[i] = placement.Device
	}
	for _, t := range instants {
		least, rest := make([]int64, len(devices)), n.Total.Custom["fpga"]
		for i := range least {
			least[i] = placement.Device
		}
		for _, l := range n.loads {
			if l.yields && !t.Equal(n.now) || l.from.After(t) || !t.Before(end(l.to)) {
				continue
			}
			for _, d := range l.devices {
				if d < len(least) {
					least[d] -= l.each
				}
			}
			rest -= l.fpga
		}
		for i := range devices {
			devices[i] = min(devices[i], least[i])
		}
		fpga = min(fpga, rest)
	}
	for _, i := range n.Devices.Broken {
		devices[i] = min(devices[i], 0)
	}
	return devices, fpga
}

// takes returns the GPUs that a request gets over a window.
func (n *deviceNode) takes(r placement.Resources, strategy placement.Strategy, from, to time.Time) ([]int, bool) {
	devices, fpga := n.left(from, to)
	at := sighting{NodeInfo: n.NodeInfo}
	at.DeviceFree = devices
	chosen, ok := at.devices(r.GPU, strategy)
	asked := r.Custom["fpga"]
	return chosen, ok && (asked == 0 || asked <= fpga)
}

// ready reports whether the node takes work that asks for a model.
func (n *deviceNode) ready(model string) bool {
	return n.State == NodeReady && len(n.Over()) == 0 && (model == "" || n.Devices.Model == model)
}

// answers returns what the node has to say to a request that comes now.
func (n *deviceNode) answers(req placement.Request, model string) ([]int, bool) {
	if !n.ready(model) {
		return nil, false
	}
	strategy := req.Preferences.Strategy
	devices, ok := n.takes(req.Resources, strategy, n.now, time.Time{})
	if ok {
		return devices, true
	}
	switch {
	case req.Yield:
		return n.takes(req.Resources, strategy, n.now, n.now.Add(1))
	case req.Duration > 0:
		return n.takes(req.Resources, strategy, n.now, n.now.Add(req.Duration))
	default:
		return nil, false
	}
}
